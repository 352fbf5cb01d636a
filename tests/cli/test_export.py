"""`sidecar usage export`: every row and column, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing as at_end_close
from pathlib import Path

import pytest

from sidecar.ledger import hours, schema
from sidecar.ledger.export import exported
from sidecar.ledger.row import moment
from sidecar.ledger.writer import Ledger

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))
from exchanges import NOON, closing, opening

COMMAND = (sys.executable, "-m", "sidecar", "usage", "export")


@pytest.fixture
def home(tmp_path):
    """A ledger of four requests, the first two of them summed up to two hours."""
    tmp_path.chmod(0o700)
    ledger = Ledger(str(tmp_path / "ledger.db"), "one", print)
    ledger.start()
    for number in range(4):
        session = ("s\x1b[31mr\u202e", "s2")[number % 2]
        ledger.open(opening(number, started_at=NOON + number * 3600, session=session))
        ledger.close(closing(number, finished_at=NOON + number * 3600 + 2))
    ledger.stop()
    with at_end_close(schema.connect(str(tmp_path / "ledger.db"))) as connection:
        for _ in range(2):
            assert hours.roll_up(connection, moment(NOON + 7200), moment(time.time() + 1e9))
    return tmp_path


def export(home, *words: str, **more) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "SIDECAR_HOME": str(home)}
    return subprocess.run([*COMMAND, *words], env=environ, capture_output=True, check=False, timeout=30, cwd=home, **more)


def test_json_lines_hold_every_column_of_requests_and_hours_and_say_which_is_which(home):
    done = export(home)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert b"\x1b" not in done.stdout
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["table"], row["session"]) for row in rows] == [
        ("hours", "s\x1b[31mr\u202e"), ("hours", "s2"), ("requests", "s\x1b[31mr\u202e"), ("requests", "s2"),
    ]  # fmt: skip
    with at_end_close(schema.connect(str(home / "ledger.db"))) as connection:
        for table, row in (("hours", rows[0]), ("requests", rows[2])):
            assert set(row) == {"table", *(name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})"))}
    assert (rows[0]["requests"], rows[0]["input_tokens"], rows[0]["tags"]) == (1, 10, ["laptop", "review"])
    assert (rows[2]["stream"], rows[2]["tags"], rows[2]["first_byte_ms"]) == (True, ["laptop", "review"], 310.5)


def test_a_file_is_the_users_alone_and_there_only_when_it_is_whole(home):
    target = home / "out.jsonl"
    target.write_text("of last month")
    done = export(home, "--output", str(target))
    assert (done.returncode, done.stdout.decode()) == (0, f"4 rows in {target}\n")
    assert target.stat().st_mode & 0o777 == 0o600
    assert len(target.read_text().splitlines()) == 4
    (home / "ledger.db").write_bytes(b"no database at all" * 100)
    for left_over in ("ledger.db-wal", "ledger.db-shm"):
        (home / left_over).unlink(missing_ok=True)
    failed = export(home, "--output", str(target))
    assert failed.returncode == 1
    assert b"cannot be read" in failed.stderr
    assert len(target.read_text().splitlines()) == 4
    assert not list(home.glob("*.part"))


def test_no_ledger_is_an_empty_export(tmp_path):
    tmp_path.chmod(0o700)
    done = export(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_reader_that_has_seen_enough_is_no_failure(home):
    command = subprocess.Popen(COMMAND, env={**os.environ, "SIDECAR_HOME": str(home)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    command.stdout.close()
    with command.stderr:
        assert command.stderr.read() == b""
    command.wait(30)


def test_rows_written_meanwhile_are_not_in_it_and_wait_for_nobody(home):
    path = str(home / "ledger.db")
    with exported(path) as (_, rows):
        seen = [next(rows)]
        with at_end_close(schema.connect(path)) as connection:
            assert hours.roll_up(connection, moment(NOON + 9e9), moment(time.time() + 1e9))
        seen += rows
    assert [row["table"] for row in seen] == ["hours", "hours", "requests", "requests"]


def test_parquet_without_pyarrow_says_what_to_type(home):
    (home / "pyarrow.py").write_text("raise ImportError")  # found before any other: it is in the working folder
    done = export(home, "--format", "parquet", "--output", "usage.parquet")
    assert done.returncode == 1
    assert b"Parquet needs pyarrow, which is not installed here" in done.stderr
    assert b"pip install pyarrow" in done.stderr
    assert not (home / "usage.parquet").exists()


def test_parquet_holds_the_same(home):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert export(home, "--format", "parquet", "--output", "usage.parquet").returncode == 0
    file = parquet.ParquetFile(home / "usage.parquet")
    plain = [json.loads(line) for line in export(home).stdout.splitlines()]
    wide = [{name: row.get(name) for name in file.schema_arrow.names} for row in plain]
    assert file.read().to_pylist() == wide
