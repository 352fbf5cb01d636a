from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.clock import moment


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1795253400.25, "2026-11-21T09:30:00.250Z"),
        (1795253400.123, "2026-11-21T09:30:00.123Z"),
        (1795253400.1239, "2026-11-21T09:30:00.123Z"),
        (1795253400.9999999, "2026-11-21T09:30:01.000Z"),
    ],
)
def test_a_moment_is_text_with_milliseconds(seconds, expected):
    assert moment(seconds) == expected


@given(st.floats(min_value=0, max_value=4_000_000_000))
def test_it_says_what_datetime_says(seconds):
    assert moment(seconds) == datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
