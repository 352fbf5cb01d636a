from __future__ import annotations

import pytest

from sidecar.metering.headers import reply_facts
from sidecar.wire.fields import by_name


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ([], (None, None, None)),
        ([("Request-Id", "req_1"), ("x-request-id", "other")], ("req_1", None, None)),
        ([("X-Generation-Id", "gen-1")], ("gen-1", None, None)),
        ([("x-portkey-trace-id", "t"), ("x-portkey-cache-status", "HIT")], ("t", "HIT", None)),
        ([("cf-aig-log-id", "l"), ("cf-aig-cache-status", "MISS")], ("l", "MISS", None)),
        ([("helicone-id", "h"), ("helicone-cache", "HIT")], ("h", "HIT", None)),
        ([("x-litellm-call-id", "c"), ("x-litellm-response-cost", "0.00042")], ("c", None, 0.00042)),
        ([("x-litellm-response-cost", "0.0")], (None, None, 0.0)),
        ([("x-litellm-response-cost", "None")], (None, None, None)),
        ([("x-litellm-response-cost", "-1"), ("request-id", "")], (None, None, None)),
        ([("x-litellm-response-cost", "nan")], (None, None, None)),
        ([("x-litellm-response-cost", "inf")], (None, None, None)),
    ],
)
def test_headers_say_who_answered_from_where_and_for_how_much(fields, facts):
    assert reply_facts(by_name([(name.encode(), value.encode()) for name, value in fields])) == facts
