from __future__ import annotations

import hashlib

import pytest

from sidecar.demo import comparison
from sidecar.demo.gateway import Received

KEY = "gateway-key"
PASS = "sidecar-pass-x"


def received(*fields: tuple[str, str], target: str = "/v1/messages", body: bytes = b"{}") -> Received:
    return Received("POST", target, fields, body)


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ([("Authorization", "Bearer gateway-key")], True),
        ([("Authorization", "Bearer other")], False),
        ([("Authorization", "Bearer gateway-key"), ("authorization", "Bearer gateway-key")], False),
        ([("Authorization", "Bearer gateway-key"), ("x-odd", f"a {PASS}")], False),
        ([], False),
    ],
)
def test_a_credential_is_right_when_the_key_stands_there_once_and_the_pass_nowhere(fields, holds):
    assert comparison.credential([received(*fields)], KEY, PASS).holds is holds


def test_no_finding_shows_the_key_or_the_pass():
    finding = comparison.credential([received(("Authorization", f"Bearer {KEY}"), ("x", PASS))], KEY, PASS)
    assert KEY not in repr(finding)
    assert PASS not in repr(finding)


def test_an_added_header_holds_with_its_one_value():
    assert comparison.added(received(("X-S", "one")), "session", "x-s", "one").holds
    assert not comparison.added(received(("X-S", "one"), ("x-s", "one")), "session", "x-s", "one").holds
    assert not comparison.added(received(), "session", "x-s", "one").holds


def test_other_headers_must_keep_names_values_and_order():
    sent = [("A", "1"), ("b", "2"), ("Authorization", "Bearer p")]
    replaced = frozenset({"authorization", "x-new"})
    assert comparison.other_headers(sent, received(("Host", "h"), ("A", "1"), ("b", "2"), ("x-new", "n")), replaced).holds
    assert not comparison.other_headers(sent, received(("b", "2"), ("A", "1")), replaced).holds
    assert not comparison.other_headers(sent, received(("A", "1"), ("b", "2"), ("extra", "3")), replaced).holds


def test_a_body_is_shown_by_both_of_its_digests():
    finding = comparison.body(b"one", received(body=b"two"))
    assert (finding.sent, finding.received) == (hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest())
    assert not finding.holds
    assert comparison.body(b"one", received(body=b"one")).holds


def test_tokens_hold_when_the_one_row_says_what_the_gateway_said():
    said = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 7}
    row = {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 0, "cache_write_5m_tokens": 3, "cache_write_1h_tokens": 4}
    assert comparison.tokens(said, [row]).holds
    assert not comparison.tokens(said, [row | {"output_tokens": None}]).holds
    assert not comparison.tokens(said, [row, row]).holds
    assert not comparison.tokens(said, []).holds


def test_every_request_that_arrived_has_a_row():
    assert comparison.rows([received(), received()], [{"session": "s"}, {"session": "s"}]).holds
    assert not comparison.rows([received()], []).holds
    assert not comparison.rows([], []).holds
