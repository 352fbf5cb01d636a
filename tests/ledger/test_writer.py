from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing as at_end_close
from contextlib import suppress
from pathlib import Path

import pytest

from sidecar.budgets.budget import Budget, Limit, Per, Unit, account
from sidecar.ledger import schema, store, writer
from sidecar.ledger.entry import Ending, Kind
from sidecar.ledger.schema import LedgerTooNew
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Reading, Usage

sys.path.insert(0, str(Path(__file__).parent))
from exchanges import NOON, closing, opening, reading

PATIENCE_SECONDS = 10


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.db")


@pytest.fixture
def problems():
    return []


@pytest.fixture
def ledger(path, problems):
    ledger = Ledger(path, "one", lambda event, text: problems.append((event, text)))
    yield ledger
    ledger.stop()


def rows(path: str, query: str = "SELECT * FROM requests ORDER BY id") -> list[dict]:
    with at_end_close(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def until(claim) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(sqlite3.Error):  # a ledger that is being replaced
            if claim():
                return
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_row_has_every_column_as_it_was_known(path, ledger, problems):
    ledger.start()
    ledger.open(opening())
    ledger.close(
        closing(
            request_id="req_1",
            cache_status="MISS",
            header_cost_usd=0.5,
            reading=reading(
                model="claude-opus-4-8",
                usage=Usage(10, 7, 5000, 100, 200, 3, 1, 2),
                iterations='[{"type":"compaction"}]',
                service_tier="standard",
                speed="fast",
                inference_geo="us",
                reported_cost_usd=0.25,
            ),
        )
    )
    ledger.stop()
    (row,) = rows(path)
    assert row.pop("price_source").endswith(" anthropic/claude-opus-4-8, fast, us only")
    assert row == {
        "id": opening().row.id,
        "instance": "one",
        "started_at": "2026-11-21T09:30:00.250Z",
        "finished_at": "2026-11-21T09:30:02.250Z",
        "kind": "inference",
        "session": "s1",
        "run": "r1",
        "agent": None,
        "parent_agent": None,
        "gateway": "anthropic",
        "tags": '["laptop", "review"]',
        "project": "sidecar",
        "repo": "github.com/a/b",
        "branch": "main",
        "client": "claude-cli",
        "method": "POST",
        "path": "/v1/messages",
        "model_requested": "claude-sonnet-4-5",
        "model_sent": "claude-sonnet-4-5",
        "model_served": "claude-opus-4-8",
        "stream": 1,
        "status": 200,
        "outcome": "complete",
        "error_type": None,
        "stop_reason": "end_turn",
        "message_id": "msg_01",
        "request_id": "req_1",
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_read_tokens": 5000,
        "cache_write_5m_tokens": 100,
        "cache_write_1h_tokens": 200,
        "thinking_tokens": 3,
        "web_search_requests": 1,
        "web_fetch_requests": 2,
        "iterations": '[{"type":"compaction"}]',
        "service_tier": "standard",
        "speed": "fast",
        "inference_geo": "us",
        "cache_status": "MISS",
        "usage_source": "final",
        "billing": "metered",
        # 10 fresh at 3, 5000 read at 0.3, 100 at 3.75, 200 at 6, 7 out at 15 dollars a million
        # At twice the list's prices and a tenth more, with one search.
        "cost_nanousd": (10 * 10_000 + 7 * 50_000 + 5000 * 1000 + 100 * 12_500 + 200 * 20_000) * 11 // 10 + 10_000_000,
        "reported_cost_usd": 0.25,
        "bytes_in": 100,
        "bytes_out": 2000,
        "first_byte_ms": 310.5,
        "duration_ms": 2000.0,
        "retry_count": 0,
    }
    assert problems == []


def test_an_open_row_is_on_disk_before_the_request_ends(path, ledger):
    ledger.start()
    ledger.open(opening())
    until(lambda: rows(path))
    (row,) = rows(path)
    assert (row["finished_at"], row["outcome"], row["usage_source"], row["input_tokens"]) == (None, None, None, None)


def test_opening_and_closing_are_each_on_disk_within_100_ms_also_while_prices_are_loaded(path, ledger):
    ledger.start()
    with at_end_close(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for number in range(1, 20):
            for act, column in ((ledger.open, "started_at"), (ledger.close, "finished_at")):
                act(opening(number) if act == ledger.open else closing(number))
                begun = time.monotonic()
                until(lambda: connection.execute(f"SELECT count({column}) FROM requests").fetchone()[0] == number)  # noqa: B023
                assert time.monotonic() - begun < 0.1


def test_whoever_asks_or_stops_does_not_wait_for_what_is_gathered(path, ledger, monkeypatch):
    monkeypatch.setattr(writer, "GATHER_SECONDS", 3600)
    ledger.start()
    everything = account(Budget(Per.SESSION, Limit(1, Unit.TOKENS)), NOON, "s1")
    ledger.open(opening())
    ledger.close(closing())
    assert ledger.balance(everything).result(PATIENCE_SECONDS).tokens == 5317
    ledger.open(opening(2))
    ledger.stop()
    assert len(rows(path)) == 2


def test_a_request_that_is_over_while_rows_are_gathered_is_written_once(path, ledger, monkeypatch):
    monkeypatch.setattr(writer, "GATHER_SECONDS", 3600)
    ledger.start()
    until(lambda: os.path.exists(path) and rows(path, "SELECT name FROM sqlite_master WHERE name = 'requests'"))
    with at_end_close(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE writes (event TEXT)")
        for event in ("INSERT", "UPDATE"):
            connection.execute(f"CREATE TRIGGER told_{event} AFTER {event} ON requests BEGIN INSERT INTO writes VALUES ('{event}'); END")
    ledger._begin_to_load_prices()
    until(lambda: ledger._cost is not None)
    ledger.open(opening())
    ledger.close(closing())
    ledger.stop()
    assert rows(path, "SELECT event FROM writes") == [{"event": "INSERT"}]


def test_unknown_is_null(path, ledger):
    ledger.start()
    ledger.open(opening(retry_count=None, stream=None))
    ledger.close(closing(status=None, own_error="unreachable", ending=Ending.UNREACHABLE, first_byte_ms=None, reading=Reading()))
    ledger.stop()
    (row,) = rows(path)
    tokens = [value for name, value in row.items() if name.endswith(("_tokens", "_requests"))]
    assert set(tokens) == {None}
    assert (row["outcome"], row["error_type"], row["usage_source"]) == ("unreachable", "unreachable", "none")
    assert (row["cost_nanousd"], row["price_source"]) == (0, "no gateway was reached")


def test_only_inference_has_a_price(path, ledger):
    ledger.start()
    ledger.open(opening(kind=Kind.COUNT))
    ledger.close(closing(reading=Reading()))
    ledger.stop()
    (row,) = rows(path)
    assert (row["kind"], row["outcome"], row["cost_nanousd"], row["price_source"]) == ("count", "complete", None, None)


def test_the_model_that_served_is_priced_and_an_unknown_one_says_so(path, ledger):
    ledger.start()
    for number, model in enumerate(("claude-haiku-4-5-20251001", None, "house-small"), 1):
        ledger.open(opening(number))
        ledger.close(closing(number, reading=reading(usage=Usage(1000, 1000), model=model)))
    ledger.stop()
    costs = [(row["cost_nanousd"], row["price_source"].split(" ", 2)[2]) for row in rows(path)]
    assert costs == [
        (6_000_000, "anthropic/claude-haiku-4-5"),
        (18_000_000, "anthropic/claude-sonnet-4-5"),
        (None, "has no price for 'house-small' at anthropic"),
    ]


def test_bytes_of_a_header_that_are_no_utf8_lose_no_row(path, ledger, problems):
    ledger.start()
    ledger.open(opening(session="caf\udce9", tags=("\udcff",)))
    ledger.close(closing())
    ledger.stop()
    (row,) = rows(path)
    assert (row["session"], json.loads(row["tags"]), problems) == ("caf?", ["?"], [])


def test_a_row_that_cannot_be_stored_holds_up_no_other(path, ledger, problems):
    ledger.start()
    ledger.open(opening(1))
    until(lambda: rows(path))
    ledger.close(closing(1, bytes_out=2**70))
    ledger.open(opening(2))
    ledger.close(closing(2))
    ledger.stop()
    assert [row["outcome"] for row in rows(path)] == [None, "complete"]
    assert {event for event, _ in problems} == {"ledger.row_refused"}


def test_stop_writes_what_is_there_and_ends_the_threads(path, ledger, problems):
    ledger.start()
    for number in range(1, 501):
        ledger.open(opening(number))
        ledger.close(closing(number))
    ledger.stop()
    assert rows(path, "SELECT count(*) AS n, count(finished_at) AS closed, count(cost_nanousd) AS priced FROM requests") == [
        {"n": 500, "closed": 500, "priced": 500}
    ]
    assert not {thread.name for thread in threading.enumerate()} & {"sidecar-ledger", "sidecar-prices"}
    assert problems == []


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from exchanges import closing, opening
from sidecar.ledger.writer import Ledger
ledger = Ledger(sys.argv[2], "killed", print)
ledger.start()
for number in range(1, 6):
    ledger.open(opening(number, instance="killed"))
for number in range(1, 4):
    ledger.close(closing(number))
time.sleep(0.1)
print("there", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_wrote_is_there_and_what_it_left_open_is_lost(path, ledger):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(Path(__file__).parent), path], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"there\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert [row["outcome"] for row in rows(path)] == ["complete"] * 3 + [None] * 2
    before = time.time()
    ledger.start()
    found = rows(path)
    assert [(row["outcome"], row["instance"]) for row in found] == [("complete", "killed")] * 3 + [("lost", "killed")] * 2
    assert all(row["finished_at"] >= store.moment(before) and row["usage_source"] == "none" for row in found[3:])


def test_rows_of_a_draining_instance_stay_its_own(path, ledger, problems):
    draining, dead = (Ledger(path, name, lambda *problem: problems.append(problem)) for name in ("draining", "dead"))
    for number, other in enumerate((draining, dead), 1):
        other.start(alive={"draining", "dead"})
        other.open(opening(number, instance=other._alive[0]))
    until(lambda: len(rows(path)) == 2)
    ledger.start(alive=["draining"])
    assert [row["outcome"] for row in rows(path)] == [None, "lost"]
    draining.close(closing(1))
    draining.stop()
    dead.stop()
    assert [row["outcome"] for row in rows(path)] == ["complete", "lost"]
    assert problems == []


def test_a_locked_ledger_delays_rows_and_loses_none(path, ledger, problems):
    ledger.start()
    with at_end_close(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for number in range(1, 4):
            ledger.open(opening(number))
            ledger.close(closing(number))
        until(lambda: problems)
        other.execute("ROLLBACK")
    until(lambda: len(rows(path, "SELECT 1 FROM requests WHERE cost_nanousd")) == 3)
    until(lambda: len(problems) == 2)  # it tells after it has written
    assert [event for event, _ in problems] == ["ledger.unwritable", "ledger.writable"]
    assert "locked" in problems[0][1]


def test_a_ledger_that_is_locked_at_the_start_is_opened_later(path, ledger, problems):
    with at_end_close(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ledger.start()
        ledger.open(opening())
        other.execute("ROLLBACK")
    until(lambda: os.path.getsize(path) and rows(path, "SELECT name FROM sqlite_master WHERE name = 'requests'") and rows(path))
    assert problems[0][0] == "ledger.unwritable"


def test_rows_beyond_the_limit_are_lost_the_oldest_first_and_counted(path, ledger, problems, monkeypatch):
    monkeypatch.setattr(writer, "WAITING_LIMIT", 10)
    ledger.start()
    with at_end_close(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for number in range(1, 16):
            ledger.open(opening(number))
            ledger.close(closing(number))
        ledger.open(opening(16))
        until(lambda: ledger._lost == 6 and problems)
        assert "rows waiting in memory: 10, lost: 6" in ledger.error
        other.execute("ROLLBACK")
    until(lambda: len(problems) == 2)
    assert len(rows(path)) == 10
    assert problems[1] == ("ledger.writable", f"{path}: can be written again; rows lost: 6")
    assert ledger.error == f"{path} could not be written for a while; rows lost: 6"


def test_a_row_that_waited_open_beyond_the_limit_is_not_lost(path, ledger, problems, monkeypatch):
    monkeypatch.setattr(writer, "WAITING_LIMIT", 10)
    ledger.start()
    with at_end_close(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for number in range(1, 16):
            ledger.open(opening(number))
        until(lambda: len(ledger._in_flight) == 15 and problems)
        other.execute("ROLLBACK")
    until(lambda: len(problems) == 2)
    assert (len(rows(path)), problems[1][1], ledger.error) == (10, f"{path}: can be written again", None)
    ledger.close(closing(1))  # a closed row carries everything
    until(lambda: len(rows(path)) == 11)


DAY = account(Budget(Per.DAY, Limit(1, Unit.TOKENS)), NOON)
#: What one request of `exchanges.py` uses.
TOKENS = 5317


def test_a_ledger_that_cannot_be_opened_says_so_until_it_can_and_budgets_count_what_waits(path, problems):
    os.mkdir(path)
    said = []
    ledger = Ledger(path, "one", lambda event, text: problems.append((event, text)), on_health=lambda: said.append(ledger.error))
    ledger.start()
    assert said == [f"{path} cannot be written: Is a directory; rows waiting in memory: 0"]
    ledger.open(opening())
    ledger.close(closing())
    assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == TOKENS
    ledger.open(opening(2))
    ledger.close(closing(2))
    until(lambda: ledger.spending.of(DAY).tokens == 2 * TOKENS)
    ledger.configure(None)  # a reload counts on from there, too
    assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == 2 * TOKENS
    assert "memory: 2" in ledger.error
    os.rmdir(path)
    until(lambda: len(said) == 2)
    assert (said[1], ledger.error) == (None, None)
    assert [row["outcome"] for row in rows(path)] == ["complete"] * 2
    assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == 2 * TOKENS
    ledger.stop()
    assert [event for event, _ in problems] == ["ledger.unwritable", "ledger.writable"]


def test_with_nothing_to_write_it_still_notices_that_the_ledger_can_be_opened_again(path, ledger, problems):
    os.mkdir(path)
    ledger.start()
    os.rmdir(path)
    until(lambda: len(problems) == 2)
    assert ledger.error is None
    assert rows(path) == []


def test_a_ledger_that_is_locked_is_still_read_for_budgets(path, ledger, problems):
    ledger.start()
    ledger.open(opening())
    ledger.close(closing())
    until(lambda: rows(path, "SELECT 1 FROM requests WHERE cost_nanousd"))
    with at_end_close(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ledger.open(opening(2))
        ledger.close(closing(2))
        until(lambda: problems)
        assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == 2 * TOKENS
        other.execute("ROLLBACK")
    until(lambda: len(problems) == 2)
    assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == 2 * TOKENS


def test_rows_that_are_lost_stay_counted(path, ledger, problems, monkeypatch):
    monkeypatch.setattr(writer, "WAITING_LIMIT", 2)
    os.mkdir(path)
    ledger.start()
    ledger.balance(DAY).result(PATIENCE_SECONDS)
    for number in range(1, 6):
        ledger.open(opening(number))
        ledger.close(closing(number))
    until(lambda: ledger._lost == 3)
    os.rmdir(path)
    until(lambda: len(problems) == 2)
    assert len(rows(path)) == 2
    ledger.configure(None)
    assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == 5 * TOKENS


def deleted(path: str) -> None:
    os.unlink(path)


def deleted_with_its_companions(path: str) -> None:
    for companion in ("", "-wal", "-shm"):
        os.unlink(path + companion)


def replaced_by_an_older_copy(path: str) -> None:
    schema.connect(path + ".copy").close()
    os.replace(path + ".copy", path)
    for companion in ("-wal", "-shm"):
        os.unlink(path + companion)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file is neither deleted nor replaced there")
@pytest.mark.parametrize("do", [deleted, deleted_with_its_companions, replaced_by_an_older_copy])
def test_a_file_that_is_gone_is_noticed_and_no_later_row_goes_into_it(path, ledger, problems, do):
    ledger.start()
    for number in (1, 2):
        ledger.open(opening(number))
    ledger.close(closing(1))
    until(lambda: rows(path, "SELECT 1 FROM requests WHERE cost_nanousd"))
    assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == TOKENS
    do(path)
    ledger.open(opening(3))
    ledger.close(closing(3))
    until(lambda: os.path.exists(path) and len(rows(path)) == 2)
    assert [(row["id"][-1], row["outcome"]) for row in rows(path)] == [("2", None), ("3", "complete")]
    ((event, text),) = problems
    assert event == "ledger.replaced"
    assert f"{path} was deleted or replaced" in text
    assert ledger.error == text
    # What is known to be spent does not come back.
    assert ledger.balance(DAY).result(PATIENCE_SECONDS).tokens == 2 * TOKENS


@pytest.mark.skipif(sys.platform == "win32", reason="an open file is neither deleted nor replaced there")
def test_a_batch_that_went_into_a_file_that_was_just_deleted_is_written_again(path, tmp_path):
    where = store.Store(path, lambda *_: None, lambda *_: None)
    where.open(["one"])
    deleted_with_its_companions(path)
    assert where.write([opening().row]) is False
    where.open(["one"])
    assert where.write([opening().row]) is True
    where.close()
    assert len(rows(path)) == 1


def test_when_there_is_nothing_else_to_do_quarters_that_are_over_are_summed_up(path, ledger, problems):
    now = time.time()
    ledger.start()
    for number, ago in enumerate((7200, 3600, 0)):
        ledger.open(opening(number, started_at=now - ago))
        ledger.close(closing(number, finished_at=now))
    until(lambda: rows(path, "SELECT 1 FROM requests WHERE cost_nanousd"))
    ledger.configure(None)
    until(lambda: len(rows(path, "SELECT * FROM quarters")) == 2)
    assert [row["quarter"] for row in rows(path, "SELECT * FROM unsummed")] == [now // 900]
    assert problems == []


def test_prices_that_could_not_be_loaded_are_loaded_later(path, ledger, problems, monkeypatch):
    monkeypatch.setattr(writer, "_PRICES_RETRY_SECONDS", 0.0)
    monkeypatch.setitem(sys.modules, "sidecar.pricing.cost", None)
    ledger.start()
    ledger.open(opening())
    ledger.close(closing())
    until(lambda: problems)
    assert problems[0][0] == "prices.unavailable"
    monkeypatch.undo()
    ledger.open(opening(2))
    ledger.close(closing(2))
    until(lambda: len(rows(path, "SELECT 1 FROM requests WHERE cost_nanousd")) == 2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the limit on a file's size is POSIX")
def test_a_full_disk_delays_rows_and_loses_none(path, problems):
    script = """
import resource, signal, sys, time
sys.path.insert(0, sys.argv[1])
from exchanges import closing, opening
from sidecar.ledger.writer import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(sys.argv[2], "one", lambda event, text: print(event, flush=True))
ledger.start()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
for number in range(1, 401):
    ledger.open(opening(number))
deadline = time.monotonic() + 10
while not ledger._retry_seconds and time.monotonic() < deadline:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
while ledger._waiting and time.monotonic() < deadline:
    time.sleep(0.01)
ledger.stop()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), path], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["ledger.unwritable", "ledger.writable"]
    assert len(rows(path)) == 400


def test_a_damaged_ledger_is_moved_aside_and_a_new_one_begun(path, ledger, problems, tmp_path):
    Path(path).write_bytes(b"this is no database" * 100)
    ledger.start()
    ledger.open(opening())
    until(lambda: rows(path))
    ((event, text),) = problems
    (aside,) = tmp_path.glob("ledger.db.damaged-*")
    assert event == "ledger.damaged"
    assert str(aside) in text
    assert aside.read_bytes() == b"this is no database" * 100


def test_a_ledger_that_is_damaged_while_it_is_written_is_replaced_too(path, ledger, problems, tmp_path):
    ledger.start()
    for number in range(1, 40):
        ledger.open(opening(number))
    until(lambda: len(rows(path)) == 39)
    with at_end_close(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(path, "r+b") as file:
        file.write(b"\0" * 100)
        file.seek(4096)
        file.write(b"\xff" * 8192)
    ledger.close(closing(3))
    until(lambda: any(event == "ledger.damaged" for event, _ in problems))
    # The requests that were in flight are in the new one, too.
    until(lambda: [row["outcome"] for row in rows(path)] == [None] * 2 + ["complete"] + [None] * 36)
    assert ledger.error is not None
    assert "a new ledger begun" in ledger.error
    assert list(tmp_path.glob("ledger.db.damaged-*"))


def test_a_newer_ledger_is_refused_and_left_as_it_is(path, ledger):
    with at_end_close(schema.connect(path)) as connection:
        connection.execute("INSERT INTO migrations VALUES ('sorcery', '2030-01-01T00:00:00.000Z')")
    before = Path(path).read_bytes()
    with pytest.raises(LedgerTooNew) as refused:
        ledger.start()
    assert "newer version" in refused.value.message
    assert refused.value.hint
    assert Path(path).read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_the_ledger_and_its_companions_are_private_whatever_the_umask(path, ledger):
    before = os.umask(0)
    try:
        ledger.start()
        ledger.open(opening())
        until(lambda: rows(path))
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE(os.stat(path + name).st_mode) for name in ("", "-wal", "-shm")}
    assert set(modes.values()) == {0o600}


def test_a_migration_that_fails_leaves_nothing_behind(path, monkeypatch):
    schema.connect(path).close()
    monkeypatch.setitem(schema.MIGRATIONS, "halfway", ("CREATE TABLE half (a)", "nonsense"))
    with pytest.raises(sqlite3.OperationalError):
        schema.connect(path)
    assert [row["name"] for row in rows(path, "SELECT name FROM migrations ORDER BY rowid")] == [
        "requests",
        "hours",
        "quarters",
        "caches",
    ]
    assert rows(path, "SELECT name FROM sqlite_master WHERE name = 'half'") == []


def test_a_later_migration_keeps_the_rows(path, ledger, monkeypatch):
    ledger.start()
    ledger.open(opening())
    ledger.stop()

    monkeypatch.setitem(schema.MIGRATIONS, "mood", ("ALTER TABLE requests ADD COLUMN mood TEXT",))
    schema.connect(path).close()
    assert [(row["session"], row["mood"]) for row in rows(path)] == [("s1", None)]
