from __future__ import annotations

import sqlite3
import sys
import threading
from contextlib import closing as closed_after
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sidecar.errors import SidecarError
from sidecar.ledger import reprice as reprice_module
from sidecar.ledger.reports import report
from sidecar.ledger.reprice import Repriced, reprice
from sidecar.ledger.schema import connect
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Usage
from sidecar.pricing.terms import ModelRates, Rates, Terms

sys.path.insert(0, str(Path(__file__).parent))
from exchanges import NOON, closing, opening, reading

LIST_PRICE = 10 * 3000 + 7 * 15_000
HALF = Terms("anthropic", Decimal("0.5"))
SMALL = Usage(input=10, output=7)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.db")


def write(path: str, count: int = 1, first: int = 1, **differs) -> None:
    ledger = Ledger(path, "one", lambda *_: None)
    ledger.start()
    for number in range(first, first + count):
        ledger.open(opening(number, started_at=NOON + number, **differs))
        ledger.close(closing(number, reading=reading(usage=SMALL)))
    ledger.stop()


def costs(path: str) -> list[tuple[int | None, str | None]]:
    with closed_after(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT cost_nanousd, price_source FROM requests ORDER BY id").fetchall()


def test_costs_follow_the_terms_and_tokens_stay(path):
    write(path, 3)
    before = report(path)["total"]
    assert reprice(path, lambda _: HALF) == Repriced(3, 3, 0, 3 * LIST_PRICE, 3 * LIST_PRICE // 2)
    assert {(cost, source.split(", ")[1]) for cost, source in costs(path)} == {(LIST_PRICE // 2, "50% off")}
    after = report(path)["total"]
    assert after["cost_usd"] == 3 * LIST_PRICE / 2 / 1e9
    assert {**after, "cost_usd": None} == {**before, "cost_usd": None}


def test_what_costs_the_same_is_not_written(path):
    write(path, 2)
    assert reprice(path, lambda _: Terms("anthropic")) == Repriced(2, 0, 0, 2 * LIST_PRICE, 2 * LIST_PRICE)


def test_what_gets_a_price_or_loses_it_is_said(path):
    write(path, 1, gateway="corp")
    assert reprice(path, lambda name: Terms("nobody" if name == "corp" else None)) == Repriced(1, 1, 1, LIST_PRICE, 0)
    assert costs(path)[0][0] is None
    own = Rates(Decimal(1), Decimal(2), Decimal(0), Decimal(0), Decimal(0))
    assert reprice(path, lambda _: Terms(models=(ModelRates("claude-*", own),))).after_nanousd == 10 * 1000 + 7 * 2000


def test_only_the_period_and_what_was_asked_for(path):
    write(path, 4)
    write(path, 1, first=5, session="other", gateway="corp")
    since, until = (datetime.fromtimestamp(NOON + seconds, UTC) for seconds in (2, 4))
    assert reprice(path, lambda _: HALF, since, until).requests == 2
    assert reprice(path, lambda _: HALF, session="other").requests == 1
    assert reprice(path, lambda _: HALF, gateway="anthropic").requests == 4
    assert reprice(path, lambda _: HALF, gateway="corp", session="s1").requests == 0


def test_counts_and_open_rows_are_left_alone(path):
    ledger = Ledger(path, "one", lambda *_: None)
    ledger.start()
    ledger.open(opening(1))
    ledger.stop()
    assert reprice(path, lambda _: HALF) == Repriced()


def test_every_row_is_met_once_however_many_there_are(path, monkeypatch):
    monkeypatch.setattr(reprice_module, "AT_ONCE", 3)
    write(path, 10)
    assert reprice(path, lambda _: HALF).changed == 10
    assert {cost for cost, _ in costs(path)} == {LIST_PRICE // 2}


def test_it_works_while_a_daemon_writes_and_takes_nothing_from_it(path, monkeypatch):
    monkeypatch.setattr(reprice_module, "AT_ONCE", 5)
    write(path, 50)
    writer = threading.Thread(target=write, args=(path, 200, 100))
    writer.start()
    while writer.is_alive():
        reprice(path, lambda _: HALF)
    writer.join()
    rows = costs(path)
    assert len(rows) == 250
    assert {cost for cost, _ in rows} <= {LIST_PRICE, LIST_PRICE // 2}
    assert report(path)["total"]["cost_usd"] == sum(cost for cost, _ in rows) / 1e9


def test_no_ledger_has_nothing_to_price_and_is_not_made(tmp_path):
    assert reprice(str(tmp_path / "none.db"), lambda _: HALF) == Repriced()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_ledger_is_named(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"not a database, by any means" * 100)
    with pytest.raises(SidecarError, match="cannot be priced anew"):
        reprice(str(tmp_path / "ledger.db"), lambda _: HALF)


def test_a_ledger_that_stays_locked_is_named(path, monkeypatch):
    monkeypatch.setattr(reprice_module, "_BUSY_SECONDS", 0.05)
    write(path)
    with closed_after(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SidecarError, match="locked"):
            reprice(path, lambda _: HALF)
