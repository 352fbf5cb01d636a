"""Heads: which are taken, and that remembering one never changes what another says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.wire.head import LARGEST_BODY, LARGEST_HEAD, MOST_HEADS, Heads


def head(
    *fields: bytes, line: bytes = b"POST /v1/messages?beta=true HTTP/1.1", host: bytes = b"Host: 127.0.0.1", end: bytes = b"\r\n"
) -> bytes:
    return end.join((line, *([host] if host else []), *fields, b"", b""))


def said(found) -> object:
    """Whatever a request learns from its head, but for which object it is."""
    if found is None:
        return None
    got, length = found
    fields = [(name, value) for name, value in got.fields if name.lower() != b"content-length"]
    names = [name for name, _ in got.fields]
    return got.method, got.raw_path, got.version, fields, names, got.is_shared, length


def test_a_plain_head_is_read_as_it_came():
    got, length = Heads().read(head(b"X-One: a b ", b"x-TWO:", b"Content-Length: 12"))
    assert (got.method, got.raw_path, got.version, length) == ("POST", "/v1/messages?beta=true", (1, 1), 12)
    assert got.fields == ((b"Host", b"127.0.0.1"), (b"X-One", b"a b"), (b"x-TWO", b""), (b"Content-Length", b"12"))
    assert got.named[b"x-one"] == [b"a b"]
    assert (got.target.path, got.target.query) == ("/v1/messages", "?beta=true")


def test_heads_that_differ_in_the_length_alone_are_one():
    heads = Heads()
    one, _ = heads.read(head(b"Content-Length: 12", b"X: a"))
    for length in (1, 12, 345_678):
        assert heads.read(head(b"Content-Length: %d" % length, b"X: a")) == (one, length)
    for other in (
        head(b"Content-Length: 12", b"X: b"),
        head(b"Content-Length: 12", b"X: a", line=b"POST /v1/messages HTTP/1.1"),
        head(b"content-length: 12", b"X: a"),
        head(b"X: a", b"Content-Length: 12"),
    ):
        assert heads.read(other)[0] is not one


@pytest.mark.parametrize("length", [b"0", b"", b"012", b"+12", b"1 2", b"0x1", b"\x00", b"99999999999", b"12, 12"])
def test_a_length_that_is_hard_to_tell_is_never_taken_for_a_known_one(length):
    fresh = said(Heads().read(head(b"Content-Length: " + length)))
    heads = Heads()
    heads.read(head(b"Content-Length: 12"))
    assert said(heads.read(head(b"Content-Length: " + length))) == fresh
    heads.read(head(b"Content-Length: 0"))
    assert said(heads.read(head(b"Content-Length: " + length))) == fresh


def test_without_a_body_any_path_is_plain():
    got, length = Heads().read(head(line=b"GET /v1/models HTTP/1.1"))
    assert (got.method, got.raw_path, length) == ("GET", "/v1/models", 0)
    assert Heads().read(head(b"Content-Length: 0", line=b"POST /v1/files HTTP/1.1"))[1] == 0


NOT_PLAIN = {
    "HTTP/1.0": head(line=b"GET / HTTP/1.0"),
    "HTTP/2": head(line=b"PRI * HTTP/2.0", host=b""),
    "a tunnel": head(line=b"CONNECT example.com:443 HTTP/1.1"),
    "chunks": head(b"Transfer-Encoding: chunked"),
    "chunks, spelled badly": head(b"Transfer_Encoding: chunked"),
    "a length, spelled badly": head(b"Content_Length: 5"),
    "chunks and a length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "an expectation": head(b"Expect: 100-continue", b"Content-Length: 5"),
    "an upgrade": head(b"Connection: upgrade", b"Upgrade: websocket"),
    "the last request": head(b"Connection: close"),
    "a field of this connection": head(b"Connection: x-one, keep-alive", b"X-One: a"),
    "no host": head(host=b""),
    "two hosts": head(b"Host: example.com"),
    "two lengths": head(b"Content-Length: 5", b"Content-Length: 5"),
    "a field twice": head(b"X: a", b"x: b"),
    "a body on another path": head(b"Content-Length: 5", line=b"POST /v1/files HTTP/1.1"),
    "a large body": head(b"Content-Length: %d" % (LARGEST_BODY + 1)),
    "a folded field": head(b"X: a", b" b"),
    "bare line feeds": head(b"X: a", end=b"\n"),
    "a null": head(b"X: a\0b"),
    "a space before the colon": head(b"X : a"),
    "no field": head(b"X"),
    "TLS": b"\x16\x03\x01\x02\x00\r\n\r\n",
    "nothing": b"\r\n\r\n",
}


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain_is_left_to_others(data):
    assert Heads().read(data) is None


def test_a_length_above_the_limit_is_left_to_others_also_where_the_head_is_known():
    heads = Heads()
    assert heads.read(head(b"Content-Length: 5")) is not None
    assert heads.read(head(b"Content-Length: %d" % (LARGEST_BODY + 1))) is None


def test_what_is_remembered_is_bounded():
    heads = Heads()
    for number in range(2 * MOST_HEADS):
        heads.read(head(b"X: %d" % number))
    assert len(heads._known) <= MOST_HEADS
    large = head(b"X: " + b"a" * LARGEST_HEAD)
    assert heads.read(large)[0] is not heads.read(large)[0]
    assert not heads.read(large)[0].is_shared


def test_both_limits_belong_to_what_is_taken():
    heads = Heads()
    rest = head(b"X: ")
    for size, is_shared in ((LARGEST_HEAD, True), (LARGEST_HEAD + 1, False)):
        found, _ = heads.read(head(b"X: " + b"a" * (size - len(rest))))
        assert found.is_shared is is_shared
    for length, is_taken in ((LARGEST_BODY, True), (LARGEST_BODY + 1, False)):
        for _ in range(2):  # read afresh, then known
            assert (Heads().read(head(b"Content-Length: %d" % length)) is not None) is is_taken
            assert (heads.read(head(b"Content-Length: %d" % length)) is not None) is is_taken


PIECES = [
    b"Content-Length: ",
    b"content-length: ",
    b"\r\n",
    b"1",
    b"0",
    b"12",
    b" ",
    b":",
    b"X: a",
    b"Host: x",
    b"chunked",
    b"\0",
    b"_",
    b"\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.integers(0, 200), st.integers(0, 6), st.integers(1, 99))
def test_a_head_says_the_same_whatever_was_read_before(put_in, at, left_out, length):
    usual = head(b"X-One: a", b"Content-Length: %d" % length, b"X-Two: b")
    at %= len(usual)
    changed = usual[:at] + b"".join(put_in) + usual[at + left_out :]
    changed = changed[: changed.find(b"\r\n\r\n") + 4] if b"\r\n\r\n" in changed else changed + b"\r\n\r\n"
    heads = Heads()
    for known in (usual, head(b"X-One: a", b"Content-Length: 0", b"X-Two: b"), changed):
        heads.read(known)
    fresh = Heads().read(changed)
    assert said(heads.read(changed)) == said(fresh)
    if fresh is not None:
        assert heads.read(changed)[0].fields == fresh[0].fields or fresh[0].is_shared
