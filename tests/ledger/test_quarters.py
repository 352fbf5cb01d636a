"""Reports say what a plain query over the rows would say, whatever has been done to the rows and whatever has been summed up."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing as at_end_close
from datetime import UTC, datetime, timedelta

import pytest

from sidecar.clock import moment
from sidecar.ledger import hours, quarters, schema, sums
from sidecar.ledger.reports import KEYS, report
from sidecar.ledger.sums import quarters_within

#: 2026-10-24T20:00:00Z: in Berlin the clock goes back five hours later.
BEGIN = 1792872000
SPAN = 12 * 3600
LATER = "2030"

FILLED = "instance, started_at, finished_at, kind, session, gateway, tags, method, path, billing"

PLAIN = """
    SELECT {key} AS key, count(*) AS requests, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_5m_tokens) AS cache_write_5m_tokens,
        sum(cache_write_1h_tokens) AS cache_write_1h_tokens, sum(cost_nanousd) / 1e9 AS cost_usd,
        count(*) - count(cost_nanousd) AS unpriced_requests,
        count(CASE WHEN outcome = 'unmetered' THEN 1 END) AS unmetered_requests,
        sum(CASE WHEN billing = 'subscription' THEN cost_nanousd END) / 1e9 AS subscription_cost_usd,
        sum(CAST(round(reported_cost_usd * 1e9) AS INTEGER)) / 1e9 AS reported_cost_usd,
        sum(CAST(round(reported_cost_usd * 1e9) AS INTEGER) - cost_nanousd) / 1e9 AS reported_difference_usd,
        count(CASE WHEN outcome NOT IN ('complete', 'client_cancelled', 'unmetered') THEN 1 END) AS errors,
        min(started_at) AS first, max(started_at) AS last{lists}
    FROM requests {tags} WHERE kind = 'inference' AND started_at >= ? AND started_at < ? {only}
    GROUP BY 1 ORDER BY {order}, key
"""
LISTS = {"projects": "project", "gateways": "gateway", "clients": "client"}
PLAIN_KEYS = KEYS | {
    "model": "coalesce(model_served, model_sent, model_requested)",
    "day": "strftime('%Y-%m-%d', started_at, 'localtime')",
    "hour": "strftime('%Y-%m-%dT%H:00', started_at, 'localtime')",
}


def plain(path: str, by: str, since: float, until: float, only: str = "") -> list[dict[str, object]]:
    tags = "LEFT JOIN json_each(tags) AS tag" if by == "tag" else ""
    with at_end_close(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        lists = LISTS if by == "session" else {}
        listing = "".join(f", group_concat(DISTINCT {column}) AS {name}" for name, column in lists.items())
        order = "last" if by == "session" else "first"
        query = PLAIN.format(key=PLAIN_KEYS[by], tags=tags, only=only, lists=listing, order=order)
        rows = [dict(row) for row in connection.execute(query, (moment(since), moment(until)))]
    return [row | {name: sorted(row[name].split(",")) if row[name] else [] for name in lists} for row in rows]


def reported(path: str, by: str, since: float, until: float, **only: str) -> list[dict[str, object]]:
    found = report(path, by, datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC), **only)
    return [
        {name: value for name, value in row.items() if name != "spellings" and not name.endswith(("_share", "_per_second", "_byte_ms"))}
        for row in found["rows"]
    ]


def maybe(dice: random.Random, *values: object) -> object:
    return dice.choice((None, *values))


def begun(dice: random.Random, number: int) -> dict[str, object]:
    return {
        "id": f"{number:08}",
        "instance": "one",
        "started_at": moment(BEGIN + dice.randrange(SPAN * 1000) / 1000),
        "kind": dice.choice(("inference",) * 5 + ("count",)),
        "session": dice.choice(("s1", "s2", "0")),
        "agent": maybe(dice, "a1", "0", ""),
        "gateway": dice.choice(("vercel", "edgee")),
        "tags": dice.choice(("[]", '["a"]', '["a", "b"]')),
        "branch": maybe(dice, "main", ""),
        "method": "POST",
        "path": "/v1/messages",
        "billing": dice.choice(("metered", "subscription")),
        "model_sent": maybe(dice, "sent"),
    }


def ended(dice: random.Random) -> dict[str, object]:
    known = dice.random() < 0.8
    return {
        "finished_at": moment(BEGIN + SPAN),
        "model_served": maybe(dice, "sent", "served"),
        "outcome": dice.choice(("complete", "complete", "client_cancelled", "upstream_error", "lost")),
        "usage_source": "final" if known else "none",
        "input_tokens": dice.randrange(9) if known else None,
        "output_tokens": dice.randrange(9) if known else None,
        "cache_read_tokens": maybe(dice, 0, 5000),
        "cost_nanousd": maybe(dice, 0, 1, 10**9),
        "reported_cost_usd": maybe(dice, 0.1, 0.25),
        "first_byte_ms": maybe(dice, 0.1, 310.7),
        "duration_ms": dice.randrange(9999) / 10,
    }


def put(connection: sqlite3.Connection, row: dict[str, object]) -> None:
    """As the writer does: inserted, or replaced where the id is known."""
    changes = ", ".join(f"{name} = excluded.{name}" for name in row)
    marks = ", ".join("?" * len(row))
    query = f"INSERT INTO requests ({', '.join(row)}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changes}"
    connection.execute(query, tuple(row.values()))


def lived(path: str, dice: random.Random) -> None:
    """A ledger after a life of 600 rows: opened, ended, opened and ended at once, priced again, overwritten, deleted, left open.

    Quarters are summed up on the way, so that some are up to date, some have changed since, and some have never been summed up.
    """
    with at_end_close(schema.connect(path)) as connection:
        connection.execute("BEGIN")
        for number in range(600):
            if number % 150 == 149:
                connection.execute("COMMIT")
                quarters.sum_up(connection, BEGIN + SPAN * dice.random(), 20)
                connection.execute("BEGIN")
            row = begun(dice, number)
            if dice.random() < 0.7:
                put(connection, row)
            for _ in range(dice.choice((0, 1, 1, 2, 3))):
                put(connection, row | ended(dice))
            if dice.random() < 0.1:
                connection.execute("DELETE FROM requests WHERE id = ?", (f"{dice.randrange(number + 1):08}",))
        connection.execute("COMMIT")
        while quarters.sum_up(connection, BEGIN + SPAN / 2, 7):
            pass
        connection.execute("UPDATE requests SET cost_nanousd = NULL WHERE session = 's1' AND model_served = 'served' AND id > '00000300'")


def sum_up(path: str) -> list[tuple[object, ...]]:
    """Sum up every quarter that is due.  Returns all sums."""
    with at_end_close(schema.connect(path)) as connection:
        while quarters.sum_up(connection, BEGIN + 2 * SPAN, 3):
            pass
        assert connection.execute("SELECT * FROM unsummed").fetchall() == []
        return sorted(connection.execute("SELECT * FROM quarters").fetchall(), key=repr)


@pytest.fixture(params=["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("seed", range(4))
def test_every_report_of_any_period_equals_the_plain_query(tmp_path, zone, seed):
    dice = random.Random(seed)
    path = str(tmp_path / "ledger.db")
    lived(path, dice)
    for by in KEYS:
        for _ in range(4):
            since, until = sorted(BEGIN + dice.choice((dice.randrange(SPAN), dice.randrange(50) * 900, dice.random() * SPAN)) for _ in "ab")
            assert reported(path, by, since, until) == plain(path, by, since, until), (by, since, until)
        assert reported(path, by, BEGIN, BEGIN + SPAN, session="0") == plain(path, by, BEGIN, BEGIN + SPAN, "AND session = '0'")
        assert reported(path, by, BEGIN, BEGIN + SPAN, gateway="edgee") == plain(path, by, BEGIN, BEGIN + SPAN, "AND gateway = 'edgee'")


@pytest.mark.parametrize("seed", range(4))
def test_summing_up_changes_no_report_and_gives_what_summing_up_anew_would_give(tmp_path, seed, monkeypatch):
    path = str(tmp_path / "ledger.db")
    lived(path, random.Random(seed))
    before = {by: report(path, by) for by in KEYS}
    kept = sum_up(path)
    assert len(kept) > 100
    assert {by: report(path, by) for by in KEYS} == before
    monkeypatch.setattr(quarters, "_VERSION", "of the next release")
    assert {by: report(path, by) for by in KEYS} == before  # its program reads what an older one has left
    assert sum_up(path) == kept
    assert {by: report(path, by) for by in KEYS} == before


def test_sums_with_another_definition_are_replaced_and_those_with_the_same_are_kept(tmp_path, monkeypatch):
    path = str(tmp_path / "ledger.db")
    lived(path, random.Random(0))
    sum_up(path)
    with at_end_close(schema.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM unsummed").fetchone() == (0,)
    monkeypatch.setattr(quarters, "_VERSION", "of the next release")
    with at_end_close(schema.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM quarters").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM unsummed").fetchone()[0] == SPAN / 900


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE requests SET output_tokens = output_tokens + 1",
        "UPDATE requests SET started_at = '2026-10-25T01:00:00.000Z' WHERE id < '00000100'",
        "UPDATE requests SET finished_at = NULL, outcome = NULL WHERE id < '00000100'",
        "UPDATE requests SET kind = 'other' WHERE id < '00000100'",
        "DELETE FROM requests WHERE id < '00000100'",
        f"INSERT OR ABORT INTO requests (id, {FILLED}) SELECT 'new' || id, {FILLED} FROM requests",
    ],
)
def test_whoever_changes_rows_that_are_summed_up_reports_stay_true(tmp_path, change):
    path = str(tmp_path / "ledger.db")
    lived(path, random.Random(3))
    sum_up(path)
    with at_end_close(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(change)
    assert reported(path, "model", BEGIN, BEGIN + SPAN) == plain(path, "model", BEGIN, BEGIN + SPAN)
    sum_up(path)
    assert reported(path, "model", BEGIN, BEGIN + SPAN) == plain(path, "model", BEGIN, BEGIN + SPAN)


def test_rows_that_become_hours_leave_the_sums_and_no_report_changes(tmp_path):
    path = str(tmp_path / "ledger.db")
    lived(path, random.Random(1))
    sum_up(path)
    before = {by: report(path, by) for by in KEYS}
    with at_end_close(schema.connect(path)) as connection:
        while hours.roll_up(connection, moment(BEGIN + SPAN / 2), LATER):
            pass
    assert {by: report(path, by) for by in KEYS} == before
    sum_up(path)
    with at_end_close(schema.connect(path)) as connection:
        assert connection.execute("SELECT min(quarter) * 900 FROM quarters").fetchone()[0] >= BEGIN + SPAN / 2
    assert {by: report(path, by) for by in KEYS} == before


def test_only_quarters_that_are_over_are_summed_up(tmp_path):
    path = str(tmp_path / "ledger.db")
    lived(path, random.Random(1))
    with at_end_close(schema.connect(path)) as connection:
        connection.executescript("UPDATE requests SET speed = 'fast'; DELETE FROM quarters")
        while quarters.sum_up(connection, BEGIN + 3 * 900 - 1, 1):
            pass
        assert connection.execute("SELECT max(quarter) FROM quarters").fetchone() == (BEGIN // 900 + 1,)


def test_a_failure_while_summing_up_leaves_everything_as_it_was(tmp_path):
    path = str(tmp_path / "ledger.db")
    lived(path, random.Random(1))
    before = report(path)
    with at_end_close(schema.connect(path)) as connection:
        connection.execute("CREATE TRIGGER no BEFORE DELETE ON unsummed BEGIN SELECT raise(ABORT, 'no'); END")
        with pytest.raises(sqlite3.IntegrityError):
            quarters.sum_up(connection, BEGIN + SPAN, 96)
    assert report(path) == before


@pytest.mark.parametrize(
    ("since", "until", "whole", "pieces"),
    [
        (None, None, (None, None), []),
        (900, None, (1, None), []),
        (901, None, (2, None), [(901, 1800)]),
        (None, 1801, (None, 2), [(1800, 1801)]),
        (901, 2701, (2, 3), [(901, 1800), (2700, 2701)]),
        (901, 1799, (2, 2), [(901, 1799)]),
        (901, 1800, (2, 2), [(901, 1800)]),
    ],
)
def test_a_period_is_whole_quarters_and_the_pieces_at_its_ends(since, until, whole, pieces):
    assert quarters_within(since, until) == (whole, pieces)


def test_a_report_of_today_reads_no_row_but_open_ones(tmp_path):
    """A million rows must not be looked at for a sum that is there."""
    path = str(tmp_path / "ledger.db")
    lived(path, random.Random(2))
    sum_up(path)
    with at_end_close(schema.connect(path)) as connection:
        connection.execute("DROP TRIGGER quarters_row_out")
        connection.execute("DELETE FROM requests WHERE finished_at IS NOT NULL")
    since = datetime.fromtimestamp(BEGIN, UTC)
    assert report(path, since=since, until=since + timedelta(seconds=SPAN))["total"]["requests"] > 300


@pytest.mark.parametrize("only", [{}, {"session": "s1"}, {"gateway": "vercel"}])
def test_no_query_reads_all_rows_nor_makes_an_index_of_them(tmp_path, only):
    """Rows are found by their start or session; open ones have an index of their own."""
    queries = [
        sums.question("gateway", 1.0, 9e8, only),
        sums.question("gateway", None, None, only),
        sums.ended_requests(900.0, 9e8, only),
        (quarters._SUM_UP, {"last": 5}),
    ]
    with at_end_close(schema.connect(str(tmp_path / "ledger.db"))) as connection:
        for query, values in queries:
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
            assert [step for step in steps if "AUTOMATIC" in step] == []
            assert {step for step in steps if step.startswith("SCAN requests")} <= {"SCAN requests USING INDEX requests_open"}
