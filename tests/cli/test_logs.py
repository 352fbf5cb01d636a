from __future__ import annotations

import json
import os

import pytest

from sidecar.cli.running.logs import readable


@pytest.fixture
def log(home):
    folder = home.path / "logs"
    folder.mkdir(parents=True, mode=0o700)
    home.path.chmod(0o700)
    return folder / "sidecar.log"


def entry(event, **fields):
    return json.dumps({"time": "2026-01-02T03:04:05.678Z", "level": "info", "event": event, **fields}) + "\n"


def test_a_line_is_made_readable():
    line = entry("exchange.done", session="s", input_tokens=5, error=None, tags=["a"])
    assert readable(line.encode()) == '2026-01-02T03:04:05.678Z info     exchange.done  session=s  input_tokens=5  tags=["a"]'


@pytest.mark.parametrize("line", [b"plain text\n", b"[1]\n", b"\n", b"{\n"])
def test_what_is_no_entry_is_shown_as_it_is(line):
    assert readable(line) == line.decode().strip()


def test_no_control_character_reaches_the_terminal():
    assert readable(entry("e", session="a\x1b[2J\n\u202eb").encode()).isprintable()
    assert readable(b"\x1b[2J\xff").isprintable()


def test_the_last_lines_are_shown(home, log):
    log.write_text("".join(entry(f"event.{number}") for number in range(200)))
    assert len(home.run("logs").stdout.splitlines()) == 100
    assert home.run("logs", "-n", "2").stdout.split()[2::3] == ["event.198", "event.199"]
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
