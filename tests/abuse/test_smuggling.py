"""Requests that two servers could read in two ways: each is refused whole, or reaches the gateway as exactly one request."""

from __future__ import annotations

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import Client, client, one_gateway, request, running

#: Stands behind a request of doubtful length; a gateway that saw it had been tricked into a second one.
INNER = b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: anything\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
ABC = b"3\r\nabc\r\n0\r\n\r\n"


def head(*lines: bytes, line: bytes = b"POST /v1/files HTTP/1.1", end: bytes = b"\r\n") -> bytes:
    return end.join([line, b"Host: 127.0.0.1", b"x-api-key: PASS", *lines]) + end + end


NOT_HTTP = {
    "a length and chunks": head(b"Content-Length: 4", CHUNKED) + b"0\r\n\r\n" + INNER,
    "chunks and a length": head(CHUNKED, b"Content-Length: 4") + b"0\r\n\r\n" + INNER,
    "a length and identity": head(b"Content-Length: 4", b"Transfer-Encoding: identity") + b"0\r\n\r\n" + INNER,
    "an unknown coding": head(b"Transfer-Encoding: xchunked") + ABC,
    "chunked is not the last coding": head(b"Transfer-Encoding: chunked, identity") + ABC,
    "chunked twice": head(b"Transfer-Encoding: chunked, chunked") + ABC,
    "chunked in two fields": head(CHUNKED, CHUNKED) + ABC,
    "gzip and chunked in two fields": head(b"Transfer-Encoding: gzip", CHUNKED) + ABC,
    "chunked, then identity in a second field": head(CHUNKED, b"Transfer-Encoding: identity") + ABC,
    "chunked in quotes": head(b'Transfer-Encoding: "chunked"') + ABC,
    "chunked and a comma": head(b"Transfer-Encoding: chunked,") + ABC,
    "chunked behind a vertical tab": head(b"Transfer-Encoding: \x0bchunked") + ABC,
    "an empty coding": head(b"Transfer-Encoding: ") + ABC + INNER,
    "a coding under another name": head(b"Transfer_Encoding: chunked") + ABC + INNER,
    "a space before the colon of a coding": head(b"Transfer-Encoding : chunked") + ABC,
    "a space before the colon of a length": head(b"Content-Length : 5") + b"abcde",
    "a space before the name": head(b" Content-Length: 5") + b"abcde",
    "two equal lengths": head(b"Content-Length: 5", b"Content-Length: 5") + b"abcde",
    "two lengths": head(b"Content-Length: 5", b"Content-Length: 6") + b"abcdef",
    "a list of lengths": head(b"Content-Length: 5, 5") + b"abcde",
    "a length with a plus": head(b"Content-Length: +5") + b"abcde",
    "a negative length": head(b"Content-Length: -5") + b"abcde",
    "a length in hex": head(b"Content-Length: 0x5") + b"abcde",
    "a length with a space": head(b"Content-Length: 5 6") + b"abcde",
    "a length as Python writes it": head(b"Content-Length: 5_0") + b"abcde",
    "a length in other digits": head(b"Content-Length: \xd9\xa5") + b"abcde",
    "no number as a length": head(b"Content-Length: ") + b"abcde",
    "a length beyond 64 bits": head(b"Content-Length: 1" + b"0" * 40) + b"abcde",
    "a folded field": head(b"X: a", b" b"),
    "a folded coding": head(b"Transfer-Encoding:", b" chunked") + ABC,
    "bare line feeds": head(b"Content-Length: 0", end=b"\n"),
    "one bare line feed": head(b"X: a\nContent-Length: 5") + b"abcde",
    "a bare line feed at the end": head(b"Content-Length: 5")[:-4] + b"\n\nabcde",
    "a bare carriage return": head(b"X: a\rContent-Length: 5") + b"abcde",
    "a null in a value": head(b"X: a\x00b"),
    "a null in a name": head(b"X\x00: ab"),
    "a field without a colon": head(b"X"),
    "a field without a name": head(b": x"),
    "a chunk size that ends in a line feed": head(CHUNKED) + b"3\nabc\r\n0\r\n\r\n",
    "a chunk that ends in a line feed": head(CHUNKED) + b"3\r\nabc\n0\r\n\r\n",
    "a chunk size with 0x": head(CHUNKED) + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk size with a plus": head(CHUNKED) + b"+3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": head(CHUNKED) + b"-3\r\nabc\r\n0\r\n\r\n",
    "a space behind a chunk size": head(CHUNKED) + b"3 \r\nabc\r\n0\r\n\r\n",
    "a chunk size as Python writes it": head(CHUNKED) + b"0_3\r\nabc\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": head(CHUNKED) + b"f" * 20 + b"\r\nabc\r\n0\r\n\r\n",
    "a line feed in a chunk extension": head(CHUNKED) + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": head(CHUNKED) + b"3\r\nabcdef\r\n0\r\n\r\n",
    "no host": b"GET /v1/a HTTP/1.1\r\nx-api-key: PASS\r\n\r\n",
    "two hosts": head(b"Host: evil.example"),
    "the authority alone": head(line=b"GET evil.example:443 HTTP/1.1"),
    "a backslash": head(line=b"GET \\evil.example HTTP/1.1"),
    "a space in the target": head(line=b"GET /v1/a b HTTP/1.1"),
    "a control byte in the target": head(line=b"GET /v1/\x07 HTTP/1.1"),
    "a byte above ASCII in the target": head(line=b"GET /v1/\xe9 HTTP/1.1"),
    "tabs for spaces": head(line=b"GET\t/v1/a\tHTTP/1.1"),
    "a method in small letters": head(line=b"get /v1/a HTTP/1.1"),
    "a method nobody knows": head(line=b"FROB /v1/a HTTP/1.1"),
    "a version nobody knows": head(line=b"GET /v1/a HTTP/1.2"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the hello of TLS": b"\x16\x03\x01\x02\x00",
}
REFUSED = {
    "gzip below chunks": (head(b"Transfer-Encoding: gzip, chunked") + ABC, b"bad_request"),
    "identity below chunks": (head(b"Transfer-Encoding: identity, chunked") + ABC, b"bad_request"),
    "another server's address": (head(line=b"GET http://evil.example/v1 HTTP/1.1"), b"bad_request"),
    "this server's own address": (head(line=b"GET http://127.0.0.1/v1/models HTTP/1.1"), b"bad_request"),
    "a tunnel": (head(line=b"CONNECT evil.example:443 HTTP/1.1"), b"bad_request"),
    "a tunnel to a path": (head(line=b"CONNECT /v1/models HTTP/1.1"), b"bad_request"),
    "the server as a whole": (head(line=b"OPTIONS * HTTP/1.1"), b"bad_request"),
    "an encoded line end": (head(line=b"GET /v1/%0d%0aX:y HTTP/1.1"), b"bad_request"),
    "HTTP/2.0 in the request line": (head(line=b"GET /v1/a HTTP/2.0"), b"bad_request"),
    "no version, and fields": (head(line=b"GET /v1/a"), b"bad_request"),
    "no version": (b"GET /v1/a\r\n\r\n", b"forbidden_host"),
    "a user in the host": (head(line=b"GET /v1/a HTTP/1.1").replace(b"Host: ", b"Host: evil.example@"), b"forbidden_host"),
    "an upgrade with a request behind it": (
        head(b"Connection: Upgrade", b"Upgrade: WebSocket", line=b"GET /v1/a HTTP/1.1") + INNER,
        b"no_websocket",
    ),
}
FORWARDED = {
    "CHUNKED in capitals": (head(b"Transfer-Encoding: CHUNKED") + ABC, b"/v1/files", b"abc"),
    "a tab before chunked": (head(b"Transfer-Encoding:\tchunked") + ABC, b"/v1/files", b"abc"),
    "an extension of a chunk": (head(CHUNKED) + b"3;a=b\r\nabc\r\n0\r\n\r\n", b"/v1/files", b"abc"),
    "trailers, which are dropped": (head(CHUNKED) + b"3\r\nabc\r\n0\r\nHost: evil.example\r\n\r\n", b"/v1/files", b"abc"),
    "a length with zeros": (head(b"Content-Length: 0005") + b"abcde", b"/v1/files", b"abcde"),
    "a request as the body": (head(b"Content-Length: %d" % len(INNER)) + INNER, b"/v1/files", INNER),
    "a body where none is usual": (head(b"Content-Length: 5", line=b"GET /v1/a HTTP/1.1") + b"abcde", b"/v1/a", b"abcde"),
    "a length that is said to be of the connection": (
        head(b"Connection: close, content-length, host", b"Content-Length: 5") + b"abcde",
        b"/v1/files",
        b"abcde",
    ),
    "an upgrade that may be ignored": (
        head(b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", line=b"GET /v1/a HTTP/1.1"),
        b"/v1/a",
        b"",
    ),
    "an expectation that may be ignored": (head(b"Expect: 200-ok", b"Content-Length: 3") + b"abc", b"/v1/files", b"abc"),
    "two slashes": (head(line=b"GET //evil.example/x HTTP/1.1"), b"//evil.example/x", b""),
    "what looks like a user": (head(line=b"GET /@evil.example/x HTTP/1.1"), b"/@evil.example/x", b""),
    "empty lines before": (b"\r\n\r\n" + head(line=b"GET /v1/a HTTP/1.1"), b"/v1/a", b""),
    "HTTP/1.0 with chunks": (head(CHUNKED, line=b"POST /v1/files HTTP/1.0") + ABC, b"/v1/files", b"abc"),
}


@pytest.fixture
async def both(tmp_path):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        yield there, sidecar


def send(agent: Client, sidecar, sent: bytes) -> None:
    agent.send(sent.replace(b"PASS", sidecar.given.encode(), 1))


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_http_is_refused_by_the_library_and_nothing_behind_it_is_read(both, sent):
    there, sidecar = both
    async with client(sidecar) as agent:
        send(agent, sidecar, sent)
        got = await agent.reader.read()
        assert got.startswith(b"HTTP/1.0 400 Bad Request\r\n")
        assert b"x-sidecar" not in got.lower()  # one answer, and it is not ours: what stood behind was not read as a request
    async with client(sidecar) as agent:
        agent.send(request(sidecar))
        assert (await agent.reply()).status == 200
    assert len(there.requests) == 1


@pytest.mark.parametrize(("sent", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused_by_name(both, sent, code):
    there, sidecar = both
    async with client(sidecar) as agent:
        send(agent, sidecar, sent)
        assert (await agent.reply()).value(b"x-sidecar-error") == code
    assert there.requests == []
    assert sidecar.rows_now() == []


@pytest.mark.parametrize(("sent", "target", "body"), FORWARDED.values(), ids=FORWARDED)
async def test_what_has_one_meaning_arrives_as_one_request(both, sent, target, body):
    there, sidecar = both
    async with client(sidecar) as agent:
        send(agent, sidecar, sent)
        assert (await agent.reply()).status == 200
    assert [(each.target, each.body) for each in there.requests] == [(target, body)]
    framed = [name.lower() for name, _ in there.requests[0].fields if name.lower() in {b"content-length", b"transfer-encoding"}]
    assert len(framed) <= 1
