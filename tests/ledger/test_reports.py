from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidecar.errors import SidecarError
from sidecar.ledger.entry import Ending, Kind
from sidecar.ledger.reports import KEYS, report
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Reading, Usage

sys.path.insert(0, str(Path(__file__).parent))
from exchanges import NOON, closing, opening, reading

DAY = 86_400


@pytest.fixture
def berlin(monkeypatch):
    """A zone that is neither UTC nor, on most machines, the one the tests run in."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path, berlin):
    path = str(tmp_path / "ledger.db")
    ledger = Ledger(path, "one", print)
    ledger.start()
    tokens = {"usage": Usage(input=10, output=7)}
    for number, (open_, close) in enumerate(
        [
            ({}, {"reading": reading(**tokens)}),
            ({"started_at": NOON + 3600, "tags": ()}, {"reading": reading(model="house-small", **tokens)}),
            ({"started_at": NOON - DAY, "session": "s2", "gateway": "vercel", "agent": "a1"}, {"reading": reading(**tokens)}),
            # 23:30 in Berlin is still the same day there, 00:30 in UTC terms would be the next.
            (
                {"started_at": NOON + 13.5 * 3600, "session": "s2"},
                {"status": 529, "reading": Reading(failed=True, error_type="overloaded_error")},
            ),
            ({"started_at": NOON + 60, "kind": Kind.COUNT, "session": "s3"}, {"reading": Reading()}),
            ({"started_at": NOON + 120, "session": "s2"}, {"ending": Ending.CLIENT_GONE, "reading": Reading()}),
        ],
        1,
    ):
        ledger.open(opening(number, **open_))
        ledger.close(closing(number, **close))
    ledger.open(opening(7, started_at=NOON + 180, session="s1"))
    ledger.stop()
    return path


def keyed(found) -> dict:
    return {row["key"]: row["requests"] for row in found["rows"]}


def test_a_session_adds_up_what_is_known(path):
    found = report(path)
    assert [row["key"] for row in found["rows"]] == ["s1", "s2"], "the one with the newest request comes last"
    assert found["rows"][0] == {
        "key": "s1",
        "projects": ["sidecar"],
        "gateways": ["anthropic"],
        "clients": ["claude-cli"],
        "requests": 3,
        "input_tokens": 20,
        "output_tokens": 14,
        "cache_read_tokens": None,
        "cache_write_5m_tokens": None,
        "cache_write_1h_tokens": None,
        "cost_usd": 0.000135,
        "unpriced_requests": 2,
        "unmetered_requests": 0,
        "subscription_cost_usd": None,
        "reported_cost_usd": None,
        "reported_difference_usd": None,
        "errors": 0,
        "first": "2026-11-21T09:30:00.250Z",
        "last": "2026-11-21T10:30:00.250Z",
        "cache_share": None,
        "tokens_per_second": 3.5,
        "first_byte_ms": 310.5,
        "error_share": 0.0,
    }
    assert {name: found["total"][name] for name in ("requests", "input_tokens", "errors", "unpriced_requests", "cost_usd")} == {
        "requests": 6,
        "input_tokens": 30,
        "errors": 1,
        "unpriced_requests": 4,
        "cost_usd": 0.00027,
    }
    assert found["rows"][1]["gateways"] == ["anthropic", "vercel"]
    assert (found["by"], found["since"], found["until"]) == ("session", None, None)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("model", {"claude-sonnet-4-5": 5, "house-small": 1}),
        ("gateway", {"anthropic": 5, "vercel": 1}),
        ("tag", {"laptop": 5, "review": 5, None: 1}),
        ("agent", {None: 5, "a1": 1}),
        ("project", {"sidecar": 6}),
        ("repo", {"github.com/a/b": 6}),
        ("branch", {"main": 6}),
        ("client", {"claude-cli": 6}),
        ("day", {"2026-11-20": 1, "2026-11-21": 4, "2026-11-22": 1}),
        ("hour", {"2026-11-20T10:00": 1, "2026-11-21T10:00": 3, "2026-11-21T11:00": 1, "2026-11-22T00:00": 1}),
    ],
)
def test_every_way_to_group_counts_inference(path, by, keys):
    assert keyed(report(path, by)) == keys


def test_a_request_with_two_tags_is_in_the_total_once(path):
    assert report(path, "tag")["total"]["requests"] == 6


def test_every_group_has_a_test():
    assert set(KEYS) == {"session", "model", "gateway", "tag", "agent", "project", "repo", "branch", "client", "day", "hour"}


def test_requests_are_the_ledgers_own_rows_of_every_kind_oldest_first(path):
    rows = report(path, "request")["rows"]
    assert [row["started_at"] for row in rows] == sorted(row["started_at"] for row in rows)
    assert len(rows) == 7
    assert {row["kind"] for row in rows} == {"inference", "count"}
    assert rows[1]["tags"] == ["laptop", "review"]
    assert rows[1]["stream"] is True
    assert [row["outcome"] for row in rows if row["finished_at"] is None] == [None]


def test_since_is_included_and_until_is_not(path):
    noon = datetime.fromtimestamp(NOON, UTC)
    assert report(path, since=noon, until=noon + timedelta(hours=1))["total"]["requests"] == 3
    assert report(path, since=noon + timedelta(milliseconds=1))["total"]["requests"] == 4
    assert report(path, since=noon)["since"] == "2026-11-21T09:30:00.250Z"


def test_one_session_and_one_gateway_can_be_asked_for(path):
    assert report(path, session="s2", gateway="vercel")["total"]["requests"] == 1
    assert report(path, session="'; DROP TABLE requests; --")["rows"] == []


def test_a_sum_of_unknowns_is_unknown(path):
    (row,) = report(path, "day", since=datetime.fromtimestamp(NOON + 12 * 3600, UTC))["rows"]
    assert (row["input_tokens"], row["cost_usd"], row["errors"]) == (None, None, 1)


def test_no_ledger_is_an_empty_one(tmp_path):
    found = report(str(tmp_path / "none.db"))
    assert (found["rows"], found["total"]["requests"]) == ([], 0)
    (tmp_path / "new.db").touch()
    assert report(str(tmp_path / "new.db"), "request")["rows"] == []
    assert not (tmp_path / "none.db").exists()


def test_a_ledger_that_is_none_is_said_to_be_unreadable(tmp_path):
    (tmp_path / "ledger.db").write_text("this is no database" * 100)
    with pytest.raises(SidecarError, match=r"ledger\.db cannot be read"):
        report(str(tmp_path / "ledger.db"))


def test_a_report_changes_nothing(path):
    before = Path(path).read_bytes()
    report(path, "request")
    assert Path(path).read_bytes() == before
