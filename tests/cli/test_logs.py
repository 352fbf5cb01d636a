"""`sidecar logs`: a line for each exchange that fits the screen, every field with `--json`, nothing that moves a cursor."""

from __future__ import annotations

import json
import os
import time

import pytest

from sidecar.cli.running.logs import WIDTH, readable


@pytest.fixture
def log(home):
    folder = home.path / "logs"
    folder.mkdir(parents=True, mode=0o700)
    home.path.chmod(0o700)
    return folder / "sidecar.log"


def entry(event, **fields):
    return json.dumps({"time": "2026-01-02T03:04:05.678Z", "level": "info", "event": event, **fields}) + "\n"


CALL = {
    "kind": "inference",
    "session": "26791097f4881d91",
    "model_requested": "opus",
    "model_served": "claude-opus-4-8",
    "path": "/v1/messages",
    "status": 200,
    "outcome": "complete",
    "input_tokens": 1000,
    "cache_read_tokens": 22_345,
    "output_tokens": 678,
    "cost_nanousd": 12_300_000,
    "duration_ms": 2400.0,
}


@pytest.fixture(autouse=True)
def _in_one_time_zone(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_a_line_is_made_readable():
    line = entry("config.reloaded", path="/c", streams=5, error=None, tags=["a"])
    assert readable(line.encode()) == '01-02 12:04:05 info     config.reloaded  path=/c  streams=5  tags=["a"]'


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, "01-02 12:04:05 200 claude-opus-4-8         23,345     678  $0.0123   2.4s 26791097"),
        (
            {"status": 429, "outcome": "error", "error_type": "rate_limit_error", "input_tokens": None, "cache_read_tokens": None}
            | {"output_tokens": None, "cost_nanousd": 0, "model_served": None},
            "01-02 12:04:05 429 opus                         ?       ?  $0.0000   2.4s 26791097 rate_limit_error",
        ),
        (
            {"status": None, "outcome": "unreachable", "cost_nanousd": None, "model_served": "m" * 300},
            "01-02 12:04:05   \N{EN DASH} mmmmmmmmmmmmmmmmmmmmm…  23,345     678        ?   2.4s 26791097 unreachable",
        ),
        (
            {"kind": "other", "path": "/v1/models", "session": None},
            "01-02 12:04:05 200 /v1/models                   \N{EN DASH}       \N{EN DASH}        \N{EN DASH}   2.4s \N{EN DASH}",
        ),
    ],
)
def test_an_exchange_is_one_line(changed, shown):
    assert readable(entry("exchange.done", **CALL | changed).encode()) == shown


def test_an_exchange_fits_a_hundred_columns_whatever_it_holds():
    most = {"outcome": "o" * 300, "session": "s" * 300, "input_tokens": 10**10, "output_tokens": 10**10, "cost_nanousd": 9_999 * 10**9}
    assert len(readable(entry("exchange.done", **CALL | most).encode())) <= WIDTH


def test_programs_get_every_field_and_nothing_that_is_no_json(home, log):
    log.write_text(entry("exchange.done", **CALL) + "half a line\n" + "[" * 100_000 + "\n")
    (line,) = home.run("logs", "--json").stdout.splitlines()
    assert json.loads(line) == json.loads(entry("exchange.done", **CALL))


@pytest.mark.parametrize("line", [b"plain text\n", b"[1]\n", b"\n", b"{\n"])
def test_what_is_no_entry_is_shown_as_it_is(line):
    assert readable(line) == line.decode().strip()


def test_no_control_character_reaches_the_terminal():
    assert readable(entry("e", session="a\x1b[2J\n\u202eb").encode()).isprintable()
    assert readable(b"\x1b[2J\xff").isprintable()


def test_the_last_lines_are_shown(home, log):
    log.write_text("".join(entry(f"event.{number}") for number in range(200)))
    assert len(home.run("logs").stdout.splitlines()) == 100
    assert home.run("logs", "-n", "2").stdout.split()[3::4] == ["event.198", "event.199"]
    assert home.run("logs", "-n", "0").stdout == ""
    assert home.run("logs", "-n", "-1").returncode == 2


def test_without_a_log_it_says_so(home):
    result = home.run("logs")
    assert (result.returncode, result.stdout) == (0, "")
    assert "no log yet" in result.stderr


def test_following_goes_on_into_the_next_file(home, log):
    log.write_text(entry("old") + entry("first"))
    with home.popen("logs", "-f", "-n", "1") as process:
        try:
            assert b"first" in process.stdout.readline()
            with log.open("a") as file:
                file.write(entry("second")[:-1])
                file.flush()
                file.write("\n")
                file.flush()
                assert b"second" in process.stdout.readline()
                os.replace(log, f"{log}.1")
                file.write(entry("third"))
            log.write_text(entry("fourth"))
            assert b"third" in process.stdout.readline()
            assert b"fourth" in process.stdout.readline()
        finally:
            process.kill()


def test_a_reader_that_leaves_is_no_fault(home, log):
    log.write_text(entry("event", text="x" * 1000) * 5000)
    with home.popen("logs", "-n", "5000") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(10) == 141
