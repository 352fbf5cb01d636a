"""Promise one, through the whole sidecar: bytes are sacred, in both directions, and replies are never held back."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import zlib

import brotli
import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import KEY, ask, client, one_gateway, request, running

ODD_BODIES = {
    "key order, number forms and escapes": rb'{"z":1.0e+05,"a":-0,"model":"m","\u0061":"\/\u00e9\ud83d\ude00"}',
    "duplicate keys": b'{"model":"a","model":"b","x":1,"x":2}',
    "a byte order mark": b'\xef\xbb\xbf{"model":"m"}',
    "invalid UTF-8": b'{"model":"m","x":"\xff\xfe"}',
    "not JSON": b"model=m&x=1",
    "white space": b' \r\n\t{ "model" : "m" }\n\n',
    "empty": b"",
    "zero bytes": b"\x00" * 100,
    "five megabytes": b'{"model":"m","x":"' + os.urandom(2_500_000).hex().encode() + b'"}',
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
async def test_request_bodies_arrive_as_they_are(tmp_path, body):
    async with raw_gateway(says(reply(b"{}"))) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        await ask(sidecar, body=body)
        assert hashlib.sha256(there.requests[0].body).digest() == hashlib.sha256(body).digest()
        assert there.requests[0].values(b"content-length") == [b"%d" % len(body)]


async def test_a_compressed_request_stays_compressed(tmp_path):
    body = gzip.compress(b'{"model":"m"}')
    async with raw_gateway(says(reply(b"{}"))) as there, running(tmp_path, one_gateway(there.url, "    models: {m: other}\n")) as sidecar:
        await ask(sidecar, b"Content-Encoding: gzip", body=body)
        assert there.requests[0].body == body
        assert there.requests[0].values(b"content-encoding") == [b"gzip"]


async def test_a_chunked_request_arrives_whole(tmp_path):
    async with raw_gateway(says(reply(b"{}"))) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        for target in (b"/v1/messages", b"/v1/files"):
            async with client(sidecar) as agent:
                agent.send(
                    request(sidecar, b"Transfer-Encoding: chunked", body=None, target=target) + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
                )
                assert (await agent.reply()).is_whole
        assert [each.body for each in there.requests] == [b"abcde", b"abcde"]
        assert there.requests[0].values(b"content-length") == [b"5"]
        assert there.requests[1].values(b"transfer-encoding") == [b"chunked"]


async def test_a_mapped_model_changes_its_own_bytes_only(tmp_path):
    body = b'{ "x":1.0,"model":"claude-haiku-4-5[1m]" ,"y":"\\u00e9"}'
    async with (
        raw_gateway(says(reply(b"{}"))) as there,
        running(tmp_path, one_gateway(there.url, "    models: {claude-haiku-*: small}\n")) as sidecar,
    ):
        await ask(sidecar, body=body)
        assert there.requests[0].body == b'{ "x":1.0,"model":"small" ,"y":"\\u00e9"}'
        row = (await sidecar.rows())[0]
        assert (row["model_requested"], row["model_sent"]) == ("claude-haiku-4-5[1m]", "small")


@pytest.mark.parametrize("mapping", ["", "    models: {claude-haiku-*: small}\n"], ids=["not mapped", "mapped"])
@pytest.mark.parametrize("session", [(b"x-claude-code-session-id: s",), ()], ids=["a session in the head", "none"])
async def test_a_large_request_is_known_by_its_ends(tmp_path, mapping, session):
    messages = b'"messages":[{"role":"user","content":"' + b'a \\"stream\\": \\u00e9 ' * 50_000 + b'"}]'
    body = b'{"model":"claude-haiku-4-5",' + messages + b',"metadata":{"user_id":"{\\"session_id\\":\\"u\\"}"},"stream":false}'
    async with raw_gateway(says(reply(b"{}"))) as there, running(tmp_path, one_gateway(there.url, mapping)) as sidecar:
        await ask(sidecar, *session, body=body)
        sent = body.replace(b"claude-haiku-4-5", b"small") if mapping else body
        assert hashlib.sha256(there.requests[0].body).digest() == hashlib.sha256(sent).digest()
        row = (await sidecar.rows())[0]
        assert (row["model_requested"], row["model_sent"]) == ("claude-haiku-4-5", "small" if mapping else "claude-haiku-4-5")
        assert (row["session"], row["stream"], row["bytes_in"]) == ("s" if session else "u", 0, len(sent))


async def test_header_fields_go_on_and_nothing_is_added(tmp_path):
    sent = [
        b"anthropic-beta: a-2025, b-2026",
        b"Anthropic-Version: 2099-01-01",
        b"anthropic-new-thing: 1",
        b"X-Dup: one",
        b"x-DUP: two",
        b"X-Latin: caf\xe9",
        b"X-Empty:",
        b'Cookie: a=1; b="2"',
        b"traceparent: 00-1",
        b"TE: trailers",
        b"Expect: 100-continue",
        b"Connection: keep-alive, X-Named",
        b"X-Named: gone",
        b"Proxy-Authorization: Basic x",
        b"x-api-key: theirs",
        b"x-sidecar-tags: t",
    ]
    async with raw_gateway(says(reply(b"{}"))) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        async with client(sidecar) as agent:
            agent.send(request(sidecar, *sent))
            await agent.reader.readuntil(b"100 Continue\r\n\r\n")
            assert (await agent.reply()).status == 200
        assert there.requests[0].line == b"POST /v1/messages?beta=true HTTP/1.1"
        assert there.requests[0].fields == [
            (b"Host", b"127.0.0.1:%d" % there.port),
            *(tuple(part.strip() for part in each.split(b":", 1)) for each in sent[:9]),
            (b"Content-Length", b"2"),
            (b"x-api-key", KEY.encode()),
        ]


async def test_a_bare_get_gets_nothing_added(tmp_path):
    async with raw_gateway(says(reply(b"{}"))) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        await ask(sidecar, method=b"GET", target=b"/v1/models?limit=1000&", body=None)
        assert there.requests[0].line == b"GET /v1/models?limit=1000& HTTP/1.1"
        assert there.requests[0].fields == [(b"Host", b"127.0.0.1:%d" % there.port), (b"x-api-key", KEY.encode())]


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("status", [b"200 OK", b"529 ", b"400 Bad Request", b"302 Found", b"201 Made By Hand", b"200 caf\xc3\xa9"])
async def test_replies_arrive_as_they_are(tmp_path, framing, status):
    fields = [b"X-Dup: one", b"x-dup: two", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Location: http://elsewhere/"]
    answer = reply(b"\x00\xffbody", *fields, b"Alt-Svc: h3", b"Keep-Alive: 1", status=status, framing=framing)
    async with (
        raw_gateway(says(answer, then="fin" if framing == "close" else "keep")) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
    ):
        got = await ask(sidecar)
        assert (b"%d" % got.status, got.reason) == tuple(status.split(b" ", 1))
        assert got.body == b"\x00\xffbody"
        assert got.is_whole
        framed = (b"Content-Length", b"6") if framing == "length" else (b"Transfer-Encoding", b"chunked")
        assert got.fields == [*(tuple(each.split(b": ")) for each in fields), framed]


async def test_reply_fields_and_reasons_keep_octets_that_are_no_utf8(tmp_path):
    fields = [b"X-Latin: caf\xe9", b"x-EMPTY: "]
    async with (
        raw_gateway(says(reply(b"{}", *fields, status=b"200 caf\xe9"))) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
    ):
        got = await ask(sidecar)
        assert got.reason == b"caf\xe9"
        assert got.fields == [(b"X-Latin", b"caf\xe9"), (b"x-EMPTY", b""), (b"Content-Length", b"2")]


async def test_dates_and_types_the_gateway_sent_are_kept(tmp_path):
    fields = [b"Date: yesterday", b"content-type: text/x-odd; q", b"Server: theirs"]
    async with raw_gateway(says(reply(b"{}", *fields))) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        got = await ask(sidecar)
        assert got.fields == [*(tuple(each.split(b": ")) for each in fields), (b"Content-Length", b"2")]


@pytest.mark.parametrize(
    ("method", "status", "size"),
    [
        (b"HEAD", b"200 OK", b"99"),
        (b"GET", b"304 Not Modified", b"99"),
        (b"GET", b"304 Not Modified", None),
        (b"GET", b"204 No Content", None),
    ],
)
async def test_replies_without_a_body(tmp_path, method, status, size):
    head = b"HTTP/1.1 " + status + b"\r\nX-A: b\r\n" + (b"Content-Length: 99\r\n" if size else b"") + b"\r\n"
    async with raw_gateway(says(head)) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        got = await ask(sidecar, method=method, target=b"/v1/models", body=None)
        assert got.fields == [(b"X-A", b"b"), *([(b"Content-Length", size)] if size else [])]
        assert (got.body, got.is_whole) == (b"", True)


SSE = b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":3,"output_tokens":1}}}\n\n: comment\n\nevent: ping\ndata: {"type": "ping"}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "identity": bytes,
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("step", [1, 13, 100_000])
async def test_streams_arrive_as_they_are_and_are_metered(tmp_path, coding, step):
    data = CODINGS[coding](SSE)
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: "
        + coding.encode()
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = [b"%x\r\n%b\r\n" % (len(data[i : i + step]), data[i : i + step]) for i in range(0, len(data), step)]
    async with raw_gateway(says(head, *chunks, b"0\r\n\r\n")) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        got = await ask(sidecar, b"Accept-Encoding: " + coding.encode(), body=b'{"model":"m","stream":true}')
        assert got.body == data
        assert got.is_whole
        assert there.requests[0].values(b"accept-encoding") == [coding.encode()]
        row = (await sidecar.rows())[0]
        assert (row["input_tokens"], row["output_tokens"], row["outcome"], row["usage_source"]) == (3, 7, "complete", "final")


async def test_events_arrive_when_they_are_sent(tmp_path):
    go = asyncio.Event()

    async def script(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b": hello\n\n", b"event: ping\ndata: {}\n\n"):
            await go.wait()
            go.clear()
            await talk.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await go.wait()
        await talk.send(b"0\r\n\r\n")

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        agent.send(request(sidecar))
        head = await agent.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        for piece in (b"9\r\n: hello\n\n\r\n", b"16\r\nevent: ping\ndata: {}\n\n\r\n"):
            go.set()
            assert await agent.reader.readexactly(len(piece)) == piece
        go.set()
        assert await agent.reader.readexactly(5) == b"0\r\n\r\n"


async def test_three_hundred_streams_at_once(tmp_path):
    arrived = 0
    everybody = asyncio.Event()

    async def script(talk):
        nonlocal arrived
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        arrived += 1
        if arrived == 300:
            everybody.set()
        await everybody.wait()
        await talk.send(b"3\r\nabc\r\n0\r\n\r\n")

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        replies = await asyncio.gather(*(ask(sidecar) for _ in range(300)))
        assert {(each.status, each.body, each.is_whole) for each in replies} == {(200, b"abc", True)}
        assert len(await sidecar.rows(300)) == 300
