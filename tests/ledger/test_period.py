from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from sidecar.errors import UsageError
from sidecar.ledger.period import moment_of


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def now():
    return datetime(2026, 11, 21, 9, 30, tzinfo=UTC).astimezone()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-21T09:30:00+00:00"),
        ("today", "2026-11-20T23:00:00+00:00"),
        ("Yesterday", "2026-11-19T23:00:00+00:00"),
        ("7d", "2026-11-14T09:30:00+00:00"),
        ("12h", "2026-11-20T21:30:00+00:00"),
        ("90 m", "2026-11-21T08:00:00+00:00"),
        ("2w", "2026-11-07T09:30:00+00:00"),
        ("2026-11-01", "2026-10-31T23:00:00+00:00"),
        ("2026-07-01", "2026-06-30T22:00:00+00:00"),
        (" 2026-11-01T09:30 ", "2026-11-01T08:30:00+00:00"),
        ("2026-11-01T09:30:00Z", "2026-11-01T09:30:00+00:00"),
        ("2026-11-01T09:30+05:30", "2026-11-01T04:00:00+00:00"),
    ],
)
def test_plain_words_name_a_moment(text, moment, now):
    assert moment_of(text, now).astimezone(UTC).isoformat() == moment


@pytest.mark.parametrize("text", ["", "soon", "7", "d", "7y", "-7d", "999999w", "2026-13-01", "01.11.2026", "\N{ARABIC-INDIC DIGIT ONE}d"])
def test_what_is_no_time_is_refused_with_examples(text, now):
    with pytest.raises(UsageError, match="is no time") as refused:
        moment_of(text, now)
    assert "2026-11-01" in refused.value.hint
