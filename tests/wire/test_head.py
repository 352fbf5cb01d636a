"""Heads: which are plain, and that a plain one is read as it came."""

from __future__ import annotations

import pytest
from fakes.heads import head

from sidecar.wire.head import LARGEST_BODY, plain_head


def test_a_plain_head_is_read_as_it_came():
    got, length = plain_head(head(b"X-One: a b ", b"x-TWO:", b"Content-Length: 12"))
    assert (got.method, got.raw_path, got.version, length) == ("POST", "/v1/messages?beta=true", (1, 1), 12)
    assert got.fields == ((b"Host", b"127.0.0.1"), (b"X-One", b"a b"), (b"x-TWO", b""), (b"Content-Length", b"12"))
    assert got.named[b"x-one"] == [b"a b"]
    assert (got.target.path, got.target.query) == ("/v1/messages", "?beta=true")


def test_without_a_body_any_path_is_plain():
    got, length = plain_head(head(line=b"GET /v1/models HTTP/1.1"))
    assert (got.method, got.raw_path, length) == ("GET", "/v1/models", 0)
    assert plain_head(head(b"Content-Length: 0", line=b"POST /v1/files HTTP/1.1"))[1] == 0


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
    assert plain_head(data) is None


@pytest.mark.parametrize(("length", "is_plain"), [(LARGEST_BODY, True), (LARGEST_BODY + 1, False)])
def test_the_largest_body_is_plain(length, is_plain):
    assert (plain_head(head(b"Content-Length: %d" % length)) is not None) is is_plain
