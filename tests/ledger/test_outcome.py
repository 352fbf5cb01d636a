from __future__ import annotations

import pytest

from sidecar.ledger.entry import Ending, Kind
from sidecar.ledger.outcome import outcome
from sidecar.metering.reading import Reading

WHOLE = Reading(finished=True)
PART = Reading()
NOTHING = Reading(empty=True)
PAGE = Reading(failed=True, error_type="not_json")
OVERLOADED = Reading(failed=True, error_type="overloaded_error")
UNSAID = Reading(failed=True)
GAVE_UP = Reading(gave_up="too long")
I, C, O = Kind.INFERENCE, Kind.COUNT, Kind.OTHER  # noqa: E741 -- the table below is read in columns


@pytest.mark.parametrize(
    ("kind", "ending", "status", "own_error", "reading", "how", "error_type"),
    [
        (I, Ending.CLEAN, 200, None, WHOLE, "complete", None),
        (I, Ending.CUT, 200, None, WHOLE, "complete", None),
        (I, Ending.TIMEOUT, 200, None, WHOLE, "complete", None),
        (I, Ending.CLIENT_GONE, 200, None, WHOLE, "complete", None),
        (I, Ending.CLIENT_GONE, None, None, PART, "client_cancelled", None),
        (I, Ending.CLIENT_GONE, 529, None, OVERLOADED, "client_cancelled", "overloaded_error"),
        (I, Ending.CLEAN, 529, None, OVERLOADED, "upstream_error", "overloaded_error"),
        (I, Ending.CLEAN, 200, None, OVERLOADED, "upstream_error", "overloaded_error"),
        (I, Ending.CUT, 200, None, OVERLOADED, "upstream_error", "overloaded_error"),
        (I, Ending.TIMEOUT, 200, None, OVERLOADED, "upstream_error", "overloaded_error"),
        (I, Ending.CLEAN, 400, None, UNSAID, "upstream_error", "http_400"),
        (I, Ending.CLEAN, 200, None, UNSAID, "upstream_error", "unknown_error"),
        (I, Ending.CLEAN, 200, None, PAGE, "upstream_error", "not_json"),
        (I, Ending.CUT, 200, None, PAGE, "upstream_error", "not_json"),
        (I, Ending.CLEAN, 502, None, PAGE, "upstream_error", "http_502"),
        (I, Ending.CLEAN, 502, None, NOTHING, "upstream_error", "http_502"),
        (I, Ending.CUT, 503, None, PART, "upstream_error", "http_503"),
        (I, Ending.CLEAN, 404, None, WHOLE, "upstream_error", "http_404"),
        (I, Ending.CLEAN, 200, None, NOTHING, "upstream_error", "not_json"),
        (I, Ending.CUT, 200, None, NOTHING, "upstream_truncated", None),
        (I, Ending.TIMEOUT, 200, None, NOTHING, "timeout", None),
        (I, Ending.CLEAN, 200, None, PART, "upstream_truncated", None),
        (I, Ending.CUT, 200, None, PART, "upstream_truncated", None),
        (I, Ending.TIMEOUT, 200, None, PART, "timeout", None),
        (I, Ending.CLEAN, 200, None, GAVE_UP, "complete", None),
        (I, Ending.CUT, 200, None, GAVE_UP, "upstream_truncated", None),
        (I, Ending.TIMEOUT, None, "timeout_first_byte", PART, "timeout", "timeout_first_byte"),
        (I, Ending.TIMEOUT, None, "timeout_connect", NOTHING, "timeout", "timeout_connect"),
        (I, Ending.UNREACHABLE, None, "unreachable", PART, "unreachable", "unreachable"),
        (I, Ending.CUT, None, "upstream_closed", PART, "upstream_truncated", "upstream_closed"),
        (I, Ending.CLEAN, 101, "bad_reply", PART, "upstream_truncated", "bad_reply"),
        (C, Ending.CLEAN, 200, None, PART, "complete", None),
        (C, Ending.CLEAN, 400, None, OVERLOADED, "upstream_error", "overloaded_error"),
        (O, Ending.CLEAN, 204, None, NOTHING, "complete", None),
        (O, Ending.CLEAN, 302, None, PART, "complete", None),
        (O, Ending.CLEAN, 404, None, PART, "upstream_error", "http_404"),
        (O, Ending.CUT, 200, None, PART, "upstream_truncated", None),
        (O, Ending.CLEAN, 200, "bad_reply", PART, "upstream_truncated", "bad_reply"),
    ],
)
def test_the_first_outcome_that_applies_is_the_one(kind, ending, status, own_error, reading, how, error_type):
    assert outcome(kind, ending, status, own_error, reading) == (how, error_type)
