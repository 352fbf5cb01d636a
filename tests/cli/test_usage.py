"""`sidecar usage` as a command, on a ledger of today's and with no daemon anywhere."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.cli.reports.sessions import short_names
from sidecar.cli.reports.usage import _cell
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Reading, Usage

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))
from exchanges import closing, opening, reading


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture
def ledger(home):
    """Three requests of a moment ago: one whole, one of an unknown model under a hostile name, one that failed."""
    ledger = Ledger(str(home / "ledger.db"), "one", print)
    ledger.start()
    now = time.time()
    ledger.open(opening(1, started_at=now - 3))
    ledger.close(closing(1, finished_at=now, reading=reading(usage=Usage(1234567, 7, 5000, 100, 200))))
    ledger.open(opening(2, started_at=now - 2, session="\x1b[31mred\u202e", tags=()))
    ledger.close(closing(2, finished_at=now, reading=reading(usage=Usage(10, 7), model="house-small")))
    ledger.open(opening(3, started_at=now - 1, session="late"))
    ledger.close(closing(3, finished_at=now, status=429, reading=Reading(failed=True, error_type="rate_limit_error")))
    ledger.stop()


def usage(home, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar", "usage", "--since", "1h", *words],
        env={**os.environ, "SIDECAR_HOME": str(home), "PYTHONIOENCODING": "utf-8", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_table_has_totals_and_shows_unknown_as_such(home, ledger):
    done = usage(home, "--by", "session", COLUMNS="160")
    assert done.returncode == 0
    lines = [[line.split()[0], *line.split()[6 if "claude-cli" in line else 3 :]] for line in done.stdout.splitlines() if line.strip()]
    assert ["s1", "1", "1.23M", "5,000", "300", "7", "$7.41", "<1%", "3.5", "310ms", "0"] in lines
    assert ["late", "1", "?", "?", "?", "?", "$0.0000", "?", "?", "310ms", "1", "(100%)"] in lines
    assert ["total", "3", "1.23M", "5,000", "300", "14", "$7.41+?", "<1%", "3.5", "310ms", "1", "(33%)"] in lines


@pytest.mark.parametrize("by", ["session", "model", "tag", "request"])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(home, ledger, by, width):
    done = usage(home, "--by", by, COLUMNS=str(width))
    assert max(map(len, done.stdout.splitlines())) <= width
    assert "total" in done.stdout


def test_a_session_says_when_where_through_what_and_by_whom(home, ledger):
    shown = usage(home, COLUMNS="160").stdout
    (line,) = [line for line in shown.splitlines() if line.split()[:1] == ["s1"]]
    assert re.fullmatch(r" s1 +\d\d-\d\d \d\d:\d\d +sidecar +anthropic +claude-cli +1 .*", line)
    row = next(row for row in json.loads(usage(home, "--json").stdout)["rows"] if row["key"] == "s1")
    assert (row["projects"], row["gateways"], row["clients"]) == (["sidecar"], ["anthropic"], ["claude-cli"])


@pytest.mark.parametrize(
    ("order", "keys"),
    [
        ("time", ["s1", "\x1b[31mred\u202e", "late"]),
        ("cost", ["\x1b[31mred\u202e", "late", "s1"]),
        ("input", ["late", "\x1b[31mred\u202e", "s1"]),
        ("name", ["\x1b[31mred\u202e", "late", "s1"]),
    ],
)
def test_rows_are_sorted_as_asked_the_most_last(home, ledger, order, keys):
    def shown(*words):
        return json.loads(usage(home, "--json", "--sort", order, *words).stdout)

    assert [row["key"] for row in shown()["rows"]] == keys
    assert [row["key"] for row in shown("--limit", "2")["rows"]] == keys[-2:]
    assert shown("--limit", "2")["total"]["requests"] == 3
    assert [row["session"] for row in shown("--by", "request")["rows"]][-1] == keys[-1]
    assert usage(home, "--sort", order, "--limit", "2").stdout.startswith("2 of 3 sessions since ")


def test_a_limit_is_a_number_of_rows(home):
    assert usage(home, "--limit", "0").returncode == 2


def test_tags_say_that_they_overlap(home, ledger):
    assert "A request with several tags is in the row of each of them" in usage(home, "--by", "tag").stdout


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["26791097f4881d91", "nightly-build-of-docs"], ["26791097", "nightly-build-of-docs"]),
        (
            ["26791097f4881d91", "26791097f4881d92", "6fa459ea-ee8a-3ca4-894e-db77e160355e"],
            ["26791097f4881d91", "26791097f4881d92", "6fa459ea"],
        ),
    ],
)
def test_on_a_terminal_a_random_name_is_as_long_as_it_must_be(monkeypatch, names, shown):
    rows = [{"key": name} for name in names]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert [*map(short_names(rows), rows)] == shown
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert [*map(short_names(rows), rows)] == names


def test_what_came_over_the_wire_moves_no_cursor(home, ledger):
    for words in ((), ("--csv",), ("--by", "request"), ("--by", "request", "--csv")):
        text = usage(home, *words).stdout
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[31mred" in text


def test_json_is_the_report(home, ledger):
    found = json.loads(usage(home, "--json", "--by", "model").stdout)
    assert list(found) == ["by", "since", "until", "rows", "total"]
    assert {row["key"]: (row["unpriced_requests"], row["spellings"]) for row in found["rows"]} == {
        "claude-sonnet-4-5": (0, ["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"]),
        "house-small": (1, ["house-small"]),
    }


def test_costs_that_are_not_known_are_explained(home, ledger):
    assert "+? 1 of 3 requests has no known cost: sidecar usage --by request" in usage(home).stdout


def test_by_agent_the_main_agent_is_named(home):
    ledger = Ledger(str(home / "ledger.db"), "one", print)
    ledger.start()
    ledger.open(opening(1, started_at=time.time() - 3, agent=None, parent_agent=None))
    ledger.close(closing(1, finished_at=time.time()))
    ledger.stop()
    shown = usage(home, "--by", "agent").stdout
    assert any(line.split()[:3] == ["main", "agent", "1"] for line in shown.splitlines())
    assert "No subagents; --by client tells Claude Code, Codex and others apart." in shown
    assert {row["key"] for row in json.loads(usage(home, "--by", "agent", "--json").stdout)["rows"]} == {None}


def test_csv_has_a_header_and_leaves_unknown_empty(home, ledger):
    rows = list(csv.DictReader(io.StringIO(usage(home, "--csv").stdout)))
    assert rows[0]["input_tokens"] == "1234567"
    assert rows[2]["input_tokens"] == ""


def test_one_sessions_story_is_told_by_the_beginning_of_its_name(home, ledger):
    done = usage(home, "--session", "la", COLUMNS="140")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["session", "late", "in", "github.com/a/b", "main"]
    assert lines[1][-10:] == ["1", "turn,", "0", "sent", "again", "after", "a", "failure,", "rate_limit_error", "(1)"]
    assert any(line[:2] == ["main", "1"] for line in lines)
    assert any(line[0] == "1" and line[2:5] == ["main", "claude-sonnet-4-5", "rate_limit_error"] for line in lines if len(line) > 5)
    told = json.loads(usage(home, "--session", "la", "--json").stdout)
    assert (told["by"], told["rows"][0]["key"], told["story"]["errors"]) == ("session", "late", {"rate_limit_error": 1})


@pytest.mark.parametrize("width", [40, 80])
def test_a_story_fits_the_terminal_too(home, ledger, width):
    assert max(map(len, usage(home, "--session", "s1", COLUMNS=str(width)).stdout.splitlines())) <= width


def test_one_session_grouped_is_a_table(home, ledger):
    assert "story" not in json.loads(usage(home, "--session", "late", "--by", "model", "--json").stdout)


def test_no_ledger_yet_is_said_kindly(home):
    done = usage(home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"nothing has been recorded yet: there is no ledger at {home / 'ledger.db'}\n"
    assert json.loads(usage(home, "--json").stdout)["rows"] == []
    assert usage(home, "--csv").stdout == ""
    assert not (home / "ledger.db").exists()


def test_nothing_in_the_period_is_said_too(home, ledger):
    assert usage(home, "--until", "2020-01-01").stdout.startswith("no requests since ")


@pytest.mark.parametrize(("words", "said"), [(("--since", "soon"), "'soon' is no time"), (("--json", "--csv"), "two forms of the same")])
def test_a_question_that_makes_no_sense_is_refused(home, words, said):
    done = usage(home, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == "" or json.loads(done.stdout)["exit_code"] == 2


def test_an_unknown_gateway_is_named_with_the_nearest_one(home, ledger):
    done = usage(home, "-g", "anthropc")
    assert done.returncode == 2
    assert "did you mean anthropic?" in done.stderr
    assert usage(home, "-g", "edgee").stdout.startswith("no requests since ")


def test_a_terminal_that_knows_no_unicode_gets_ascii(home, ledger):
    done = usage(home, PYTHONIOENCODING="ascii", COLUMNS="120")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_csv_holds_no_formula_and_numbers_stay_numbers(home):
    """A tag or session is the agent's word; a spreadsheet would run it."""
    ledger = Ledger(str(home / "ledger.db"), "one", print)
    ledger.start()
    hostile = ('=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", " =1", "\uff1d1", "fair=1")
    for number, session in enumerate(hostile, start=1):
        ledger.open(opening(number, started_at=time.time() - 3, session=session))
        ledger.close(closing(number, finished_at=time.time()))
    ledger.stop()
    rows = list(csv.DictReader(io.StringIO(usage(home, "--csv").stdout)))
    assert {row["key"] for row in rows} == {*(f"'{session}" for session in hostile[:-1]), "fair=1"}
    assert {row["requests"] for row in rows} == {"1"}
    assert _cell(-1.5) == "-1.5"
