"""Old rows become hours, and nobody who sums can tell."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing as at_end_close
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidecar.budgets.budget import Budget, Limit, Per, Unit, account
from sidecar.ledger import hours, reader, schema
from sidecar.ledger.entry import Kind
from sidecar.ledger.reports import KEYS, report
from sidecar.ledger.row import moment
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Reading, Usage

sys.path.insert(0, str(Path(__file__).parent))
from exchanges import NOON, closing, opening, reading

#: The exchanges of `exchanges.py` begin at 09:30:00.250 UTC.
HOUR = 3600
LATER = moment(NOON + 400 * 86400)


@pytest.fixture(params=["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path):
    """A ledger of many kinds of rows over 30 hours; the last request is still open."""
    path = str(tmp_path / "ledger.db")
    ledger = Ledger(path, "one", print)
    ledger.start()
    number = 0
    for quarter in range(0, 120, 3):
        started = NOON + quarter * HOUR / 4
        for differs, reads in (
            ({}, reading()),
            ({"session": "s2", "agent": "a1", "tags": ()}, reading(model="house-small")),
            ({"session": "s2", "gateway": "vercel", "branch": None}, Reading(failed=True, error_type="overloaded_error")),
            ({"kind": Kind.COUNT}, Reading()),
        ):
            number += 1
            ledger.open(opening(number, started_at=started + number / 1000, **differs))
            ledger.close(closing(number, finished_at=started + 9, reading=reads))
    ledger.open(opening(number + 1, started_at=NOON + 1))
    ledger.stop()
    return path


def until(claim) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def roll_up(path: str, before: float) -> int:
    """The number of hours it took."""
    with at_end_close(schema.connect(path)) as connection:
        count = 0
        while hours.roll_up(connection, moment(before), LATER):
            count += 1
        return count


def count(path: str, table: str) -> int:
    with at_end_close(reader.connect(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def reports(path: str) -> dict[str, object]:
    return {by: report(path, by) for by in KEYS} | {"one session": report(path, "model", session="s2", gateway="vercel")}


def test_no_report_changes(path, zone):
    before = reports(path)
    assert roll_up(path, NOON + 20 * HOUR) in (20, 21)
    assert 0 < count(path, "requests") < 60
    assert reports(path) == before
    roll_up(path, NOON + 400 * 86400)
    assert count(path, "requests") == 1
    assert reports(path) == before


def test_an_hour_lies_in_one_local_day_and_a_day_in_its_hours(path, zone):
    midnight = datetime.fromtimestamp(NOON, UTC).astimezone().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    before = report(path, "day", since=midnight)
    roll_up(path, NOON + 400 * 86400)
    assert report(path, "day", since=midnight) == before


def test_it_keeps_apart_what_a_report_can_ask_for_and_puts_the_rest_together(path):
    roll_up(path, NOON + HOUR / 2)
    with at_end_close(reader.connect(path)) as connection:
        rows = [dict(row) for row in connection.execute("SELECT * FROM hours WHERE kind = 'inference' AND session = 's1'")]
    [row] = rows
    assert (row["started_at"], row["first"], row["last"]) == ("2026-11-21T09:00:00.000Z", "2026-11-21T09:30:00.251Z", row["first"])
    assert (row["requests"], row["priced_requests"], row["timed_requests"]) == (1, 1, 1)
    assert (row["input_tokens"], row["cache_read_tokens"], row["duration_ms"]) == (10, 5000, 2000.0)
    assert row["outcome"] == "complete"


def test_what_is_unknown_stays_unknown(path):
    roll_up(path, NOON + 400 * 86400)
    with at_end_close(reader.connect(path)) as connection:
        row = connection.execute("SELECT * FROM hours WHERE gateway = 'vercel' AND kind = 'inference'").fetchone()
    assert (row["input_tokens"], row["cost_nanousd"], row["priced_requests"], row["error_type"]) == (None, None, 0, "overloaded_error")


def test_open_rows_and_rows_that_have_just_ended_are_left(path):
    with at_end_close(schema.connect(path)) as connection:
        while hours.roll_up(connection, LATER, moment(NOON + 5 * HOUR)):
            pass
    with at_end_close(reader.connect(path)) as connection:
        left = connection.execute("SELECT finished_at FROM requests ORDER BY started_at").fetchall()
    assert left[0]["finished_at"] is None
    assert all(row["finished_at"] >= moment(NOON + 5 * HOUR) for row in left[1:])


def test_a_failure_on_the_way_loses_nothing(path):
    before = reports(path)
    with at_end_close(schema.connect(path)) as connection:
        connection.execute("CREATE TRIGGER no BEFORE DELETE ON requests BEGIN SELECT raise(ABORT, 'no'); END")
        with pytest.raises(sqlite3.IntegrityError):
            hours.roll_up(connection, LATER, LATER)
    assert reports(path) == before


def test_the_file_gives_back_its_pages(tmp_path):
    path = str(tmp_path / "ledger.db")
    ledger = Ledger(path, "one", print)
    ledger.start()
    for number in range(500):
        ledger.open(opening(number, started_at=NOON + number / 1000, path="/" + "x" * 1000))
        ledger.close(closing(number, reading=Reading(usage=Usage(1, 1))))
    ledger.stop()
    size = Path(path).stat().st_size
    with at_end_close(schema.connect(path)) as connection:
        assert hours.roll_up(connection, LATER, LATER)
        while hours.give_back(connection, 16):
            pass
    assert Path(path).stat().st_size < size / 5


def test_an_hour_that_comes_twice_is_rolled_up_as_two(tmp_path, monkeypatch):
    """In Berlin the clock goes back from 03:00 to 02:00 at 01:00 UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        path = str(tmp_path / "ledger.db")
        twice = datetime(2026, 10, 25, 1, tzinfo=UTC)
        ledger = Ledger(path, "one", print)
        ledger.start()
        for number, minutes in enumerate((-90, -30, -1, 1, 30, 90)):
            started_at = (twice + timedelta(minutes=minutes)).timestamp()
            ledger.open(opening(number, started_at=started_at))
            ledger.close(closing(number, finished_at=started_at + 1))
        ledger.stop()
        asked = [{"since": twice}, {"until": twice}, {"since": twice - timedelta(hours=1), "until": twice + timedelta(hours=1)}]
        before = [report(path, "hour", **period) for period in asked]
        assert [found["total"]["requests"] for found in before] == [3, 3, 4]
        assert roll_up(path, NOON) == 4
        with at_end_close(reader.connect(path)) as connection:
            begun = [row["started_at"][11:16] for row in connection.execute("SELECT started_at FROM hours ORDER BY 1")]
        assert begun == ["23:00", "00:00", "01:00", "02:00"]
        assert [report(path, "hour", **period) for period in asked] == before
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_writer_sums_up_what_is_older_than_is_kept_as_soon_as_it_has_time(path):
    with at_end_close(schema.connect(path)) as connection:
        ago = "strftime('%Y-%m-%dT%H:%M:%fZ', started_at, '-9000 days')"
        connection.execute(f"UPDATE requests SET started_at = {ago}, finished_at = {ago}, outcome = coalesce(outcome, 'lost')")
    ledger = Ledger(path, "two", print)
    ledger.start()
    before = reports(path)
    ledger.open(opening(9999, instance="two", started_at=time.time(), kind=Kind.OTHER))
    ledger.configure(365 * 86400.0)
    until(lambda: count(path, "requests") == 1)
    assert reports(path) == before
    ledger.stop()


def test_what_a_budget_counts_is_the_same_before_and_after(path):
    ledger = Ledger(path, "two", print)
    ledger.start()
    day = account(Budget(Per.DAY, Limit(1, Unit.TOKENS)), NOON + 20 * HOUR)
    session = account(Budget(Per.SESSION, Limit(1, Unit.DOLLARS), gateway="anthropic", tag="laptop"), NOON, "s1")
    found = [ledger.balance(each).result() for each in (day, session)]
    assert found[1].nanousd > 0
    assert roll_up(path, NOON + 400 * 86400) > 20
    ledger.configure(None)
    assert [ledger.balance(each).result() for each in (day, session)] == found
    ledger.stop()
