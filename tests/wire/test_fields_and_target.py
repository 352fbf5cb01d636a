from __future__ import annotations

import pytest

from sidecar.errors import Refusal
from sidecar.wire.fields import HOP_BY_HOP, are_legal, by_name, end_to_end, first, has_control
from sidecar.wire.target import Target


def test_fields_of_the_connection_stay_behind_and_the_rest_keeps_order_and_spelling():
    fields = [
        (b"Host", b"x"),
        (b"X-A", b"1"),
        (b"Connection", b"keep-alive, x-NAMED , content-length"),
        (b"X-Named", b"2"),
        (b"x-a", b"3"),
        (b"Content-Length", b"5"),
        (b"TE", b"trailers"),
        (b"Upgrade", b"h2c"),
        (b"Expect", b"100-continue"),
    ]
    assert end_to_end(fields, by_name(fields), HOP_BY_HOP) == [(b"X-A", b"1"), (b"x-a", b"3"), (b"Content-Length", b"5")]
    assert first(by_name(fields), b"x-a") == b"1"
    assert by_name(fields)[b"x-a"] == [b"1", b"3"]


@pytest.mark.parametrize(
    ("field", "legal"),
    [
        ((b"X", b"a\tb"), True),
        ((b"X", b"caf\xe9"), True),
        ((b"X", b"a\x00"), False),
        ((b"X", b"a\rb"), False),
        ((b"X", b"\x7f"), False),
        ((b"X", b"a\nY:b"), False),
        ((b"X", b"a\nY\0b"), False),
        ((b"X:", b""), False),
        ((b"X Y", b""), False),
        ((b"", b""), False),
    ],
)
def test_what_may_go_on_the_wire(field, legal):
    assert are_legal([field]) is legal
    assert are_legal([(b"A", b""), field, (b"B", b"1")]) is legal


@pytest.mark.parametrize("value", ["a\x1b[2J", "a\x7f", "a\x9b", "a\nb", "\ud83d"])
def test_control_characters_are_seen(value):
    assert has_control(value)
    assert not has_control("naïve 日本 🦄")


@pytest.mark.parametrize("raw", ["http://evil/v1", "*", "evil:443", "", "/a#b", "/a b", "/\xe9", "/a\x7f"])
def test_what_is_not_a_path_is_refused(raw):
    with pytest.raises(Refusal) as refused:
        Target.parse(raw)
    assert refused.value.code == "bad_request"


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("/v1/messages?beta=true", "https://h/base/v1/mapped?beta=true"),
        ("/v1/messages", "https://h/base/v1/mapped"),
        ("/v1/messages?", "https://h/base/v1/mapped?"),
        ("/v1/messages/", "https://h/base/v1/mapped"),
        ("/v1//message%73?a", "https://h/base/v1/mapped?a"),
        ("/v1/messages/batches", "https://h/base/v1/messages/batches"),
        ("//evil/x?a=b?c", "https://h/base//evil/x?a=b?c"),
        ("/@evil/%7e%e4/../.", "https://h/base/@evil/%7e%e4/../."),
    ],
)
def test_the_address_is_put_together_as_text(raw, address):
    assert Target.parse(raw).at("https://h/base", {"/v1/messages": "/v1/mapped"}) == address


def test_a_refused_target_is_quoted_without_its_query_and_cut():
    with pytest.raises(Refusal, match=r"'/a b'") as refused:
        Target.parse("/a b?key=secret")
    assert "secret" not in str(refused.value)
    with pytest.raises(Refusal, match=r"'/" + "b" * 79 + "…'"):
        Target.parse("/" + "b" * 80 + "é")
