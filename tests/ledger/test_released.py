"""Ledgers of every released schema, written by the code of their time: each opens, and its reports are those of its time.

`released/` holds them as SQL.  They all hold the same requests; in all but the first the oldest three are rolled up.  A release with a
new migration adds its own file, and never changes one of these.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing as at_end_close
from pathlib import Path

import pytest

from sidecar.budgets.budget import Budget, Limit, Per, Spent, Unit, account
from sidecar.ledger import quarters, schema
from sidecar.ledger.balance import balance
from sidecar.ledger.export import exported
from sidecar.ledger.reports import KEYS, report
from sidecar.ledger.story import story
from sidecar.ledger.writer import Ledger

RELEASED = sorted((Path(__file__).parent / "released").glob("*.sql"))
#: What each request cost: 10 fresh tokens at $3 a million, 5,000 read at $0.30, 100 and 200 written at $3.75 and $6, 7 of output at $15.
COST = 3_210_000
NANO = 1e9


@pytest.fixture(params=RELEASED, ids=lambda path: path.stem)
def path(request, tmp_path):
    path = str(tmp_path / "ledger.db")
    with at_end_close(sqlite3.connect(path)) as connection:
        connection.executescript(request.param.read_text(encoding="utf-8"))
        connection.execute("PRAGMA journal_mode = WAL")
    return path


def sums(path: str, by: str) -> dict[object, tuple[object, ...]]:
    names = ("requests", "input_tokens", "cost_usd", "unpriced_requests", "errors")
    return {row["key"]: tuple(row[name] for name in names) for row in report(path, by)["rows"]}


def check_reports(path: str) -> None:
    assert sums(path, "session") == {
        "s1": (4, 40, 3 * COST / NANO, 1, 0),
        "s2": (3, 20, 2 * COST / NANO, 1, 1),
        "s3": (1, None, None, 1, 0),
    }
    assert sums(path, "gateway") == {"anthropic": (6, 50, 4 * COST / NANO, 2, 0), "vercel": (2, 10, COST / NANO, 1, 1)}
    assert sums(path, "agent") == {None: (6, 40, 3 * COST / NANO, 3, 1), "a1": (2, 20, 2 * COST / NANO, 0, 0)}
    assert sums(path, "model")["house-small"] == (1, 10, None, 1, 0)
    total = report(path)["total"]
    assert (total["requests"], total["subscription_cost_usd"], total["reported_cost_usd"]) == (8, COST / NANO, 0.25)
    assert (total["first"], total["last"]) == ("2026-10-12T09:30:00.250Z", "2026-11-21T10:10:00.250Z")
    assert report(path, "request")["rows"][-1]["outcome"] in {None, "lost"}
    assert story(path, "s1")["models"]


def test_it_is_read_as_it_is_and_left_unchanged(path):
    before = Path(path).read_bytes()
    check_reports(path)
    assert Path(path).read_bytes() == before


def test_it_is_brought_up_to_date_with_everything_in_it(path):
    before = {by: report(path, by) for by in KEYS}
    schema.connect(path).close()
    assert {by: report(path, by) for by in KEYS} == before
    ledger = Ledger(path, "two", print)
    ledger.start(alive=["one"])
    day = account(Budget(Per.DAY, Limit(1, Unit.DOLLARS)), 1795253400.0)
    assert ledger.balance(day).result(10).nanousd == 2 * COST
    ledger.stop()
    check_reports(path)
    with at_end_close(schema.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        while quarters.sum_up(connection, 2e9, 96):
            pass
        assert connection.execute("SELECT name FROM migrations ORDER BY rowid").fetchall() == [(name,) for name in schema.MIGRATIONS]
        for session, spent in {"s1": Spent(3 * COST, 4 * 5317, 1), "s2": Spent(2 * COST, 2 * 5317, 1)}.items():
            assert balance(connection, account(Budget(Per.SESSION, Limit(1, Unit.TOKENS)), 0, session)) == spent
    check_reports(path)


def test_it_has_the_tables_of_a_new_ledger(path, tmp_path):
    def tables(of: str) -> set[tuple[object, ...]]:
        with at_end_close(schema.connect(of)) as connection:
            return {
                (kind, name, *connection.execute(f"PRAGMA table_info({name})"))
                for kind, name in connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")
            }

    assert tables(path) == tables(str(tmp_path / "new.db"))


def test_it_is_exported_with_every_column(path):
    with exported(path) as (types, rows):
        found = list(rows)
    assert {name for row in found for name in row} <= set(types)
    assert sum(row.get("requests", 1) for row in found) == 9
    assert {type(row["tags"]) for row in found} == {list}
    assert {row["stream"] for row in found if row["table"] == "requests"} == {True}


def test_there_is_one_of_every_migration():
    """A migration without a ledger that lacks it was never tried."""
    seen = set()
    for released in RELEASED:
        with at_end_close(sqlite3.connect(":memory:")) as connection:
            connection.executescript(released.read_text(encoding="utf-8"))
            seen.add(frozenset(name for (name,) in connection.execute("SELECT name FROM migrations")))
    assert seen == {frozenset(list(schema.MIGRATIONS)[:count]) for count in range(1, len(schema.MIGRATIONS))}
