"""The upstream half against a gateway of raw bytes: what leaves, what comes back, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import until
from fakes.sink import Sink

from sidecar.config.settings import Timeouts
from sidecar.errors import Refusal
from sidecar.gateways.gateway import Auth, Gateway, Secret
from sidecar.proxy.reply import IdleTimeout, ReplyCut
from sidecar.proxy.upstream import Upstream

FIELDS = [(b"X-One", b"1"), (b"x-ONE", b"caf\xe9"), (b"Accept", b"*/*")]


def gateway(url: str, **more: object) -> Gateway:
    return Gateway(name="g", preset=None, base_url=url, auth=Auth("x-api-key"), credential=Secret(()), proxy="none", **more)  # type: ignore[arg-type]


@pytest.fixture
async def upstream():
    upstream = Upstream(lambda _name: None)
    yield upstream
    upstream.close()


async def ask(upstream, url, *, method="POST", target="/v1/messages?beta=true", fields=FIELDS, body=b"hello", timeouts=None):
    fields = [*fields, (b"Content-Length", b"%d" % len(body))] if isinstance(body, bytes) else fields
    sent = (body,) if isinstance(body, bytes) else body
    timeouts = timeouts or Timeouts()
    with contextlib.closing(await upstream.send(gateway(url), method, target, fields, sent, timeouts.connect)) as answer:
        got = await answer.head(timeouts.first_byte)
        sink = Sink()
        await answer.pour(sink, timeouts.idle)
        assert sink.is_whole
        return got, sink.body


async def test_a_request_leaves_as_the_bytes_it_is(upstream):
    async with raw_gateway(says(reply(b"ok", b"X-Two: 2"))) as there:
        got, data = await ask(upstream, there.url, target="/v1//a%2Fb/../c?&x=%7e?")
        assert there.requests[0].line == b"POST /v1//a%2Fb/../c?&x=%7e? HTTP/1.1"
        assert there.requests[0].fields == [(b"Host", b"127.0.0.1:%d" % there.port), *FIELDS, (b"Content-Length", b"5")]
        assert there.requests[0].body == b"hello"
        assert (got.status, got.reason, data) == (200, b"OK", b"ok")
        assert got.fields == [(b"X-Two", b"2"), (b"Content-Length", b"2")]


async def test_a_connection_is_used_again_after_both_messages_have_ended(upstream):
    async with raw_gateway(says(reply(b"ok"))) as there:
        for _ in range(3):
            await ask(upstream, there.url)
        assert there.connections == 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("field", [b"Connection: close"])
async def test_a_connection_the_gateway_closes_is_not_used_again(upstream, framing, field):
    async with raw_gateway(says(reply(b"ok", field, framing=framing))) as there:
        await ask(upstream, there.url)
        await ask(upstream, there.url)
        assert there.connections == 2


async def test_an_idle_connection_that_the_gateway_closed_is_forgotten(upstream):
    async with raw_gateway(says(reply(b"ok"), then="fin")) as there:
        for _ in range(3):
            _, data = await ask(upstream, there.url)
            assert data == b"ok"
            await there.lost.wait()
            there.lost.clear()
            await asyncio.sleep(0.01)  # the loop has to see the FIN


async def test_bytes_behind_a_reply_never_become_the_next_one(upstream):
    smuggled = reply(b"ok") + reply(b"evil")
    async with raw_gateway(says(smuggled)) as there:
        assert (await ask(upstream, there.url))[1] == b"ok"
        assert (await ask(upstream, there.url))[1] == b"ok"
        assert there.connections == 2


async def test_a_reply_without_length_ends_with_its_connection(upstream):
    async with raw_gateway(says(reply(b"abc", framing="close"), then="fin")) as there:
        assert (await ask(upstream, there.url))[1] == b"abc"


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    ],
)
async def test_replies_that_have_no_body_do_not_wait_for_one(upstream, method, data):
    async with raw_gateway(says(data)) as there:
        assert (await ask(upstream, there.url, method=method, body=None))[1] == b""


BAD = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 60_000,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
async def test_what_is_no_reply_is_refused_by_name(upstream, data):
    async with raw_gateway(says(data, then="fin")) as there:
        with pytest.raises(Refusal) as refused:
            await ask(upstream, there.url)
        assert refused.value.code == "bad_reply"


@pytest.mark.parametrize("then", ["fin", "rst"])
async def test_a_gateway_that_hangs_up_before_answering_is_named(upstream, then):
    async with raw_gateway(says(then=then)) as there:
        with pytest.raises(Refusal) as refused:
            await ask(upstream, there.url)
        assert refused.value.code == "upstream_closed"


CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "inside a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "bare line feeds between chunks": b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n3\n\ndef\r\n0\r\n\r\n",
    "a bad chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
async def test_every_byte_of_a_broken_reply_is_handed_out_before_the_break(upstream, data):
    async with raw_gateway(says(data, then="fin")) as there:
        with contextlib.closing(await upstream.send(gateway(there.url), "GET", "/", [], None, None)) as got:
            await got.head(None)
            await there.lost.wait()
            await asyncio.sleep(0.01)  # the loop has to see the FIN: the bytes are then waiting, and so is the error
            sink = Sink()
            with pytest.raises(ReplyCut):
                await got.pour(sink)
            assert (sink.body, sink.is_whole) == (b"abc", False)


async def test_a_slow_reader_makes_the_gateway_wait(upstream):
    total = 30 * 1024 * 1024

    async def script(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(total // 65536):
            await talk.send(b"x" * 65536)

    async with raw_gateway(script) as there:
        with contextlib.closing(await upstream.send(gateway(there.url), "GET", "/", [], None, None)) as got:
            await got.head(None)
            sink = Sink(room=200_000)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(got.pour(sink))
                await until(sink.is_full)
                for _ in range(50):
                    await asyncio.sleep(0)
                assert len(sink.body) < 2 * 1024 * 1024
                while not sink.is_whole:
                    sink.empty()
                    await asyncio.sleep(0)
            assert (len(sink.body), sink.is_whole) == (total, True)


async def test_a_streamed_body_is_chunked_and_an_early_answer_is_heard(upstream):
    async def pieces():
        yield b"ab"
        yield b"c"

    async with raw_gateway(says(reply(b"ok"))) as there:
        await ask(upstream, there.url, body=pieces())
        assert there.requests[0].body == b"abc"
        assert there.requests[0].values(b"transfer-encoding") == [b"chunked"]

    async def endless():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.001)

    async def early(talk):
        await talk.reader.readuntil(b"\r\n\r\n")
        await talk.send(reply(b"enough", status=b"413 Too Large"))
        await talk.reader.read()

    async with raw_gateway(early) as there:
        got, data = await ask(upstream, there.url, body=endless())
        assert (got.status, data) == (413, b"enough")


async def test_limits_are_kept_only_where_they_are_set(upstream):
    async def silent(talk):
        await talk.request()
        await talk.reader.read()

    async with raw_gateway(silent) as there:
        with pytest.raises(Refusal) as refused:
            await ask(upstream, there.url, timeouts=Timeouts(first_byte=0.05))
        assert refused.value.code == "timeout_first_byte"

    async def stalls(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await talk.reader.read()

    async with raw_gateway(stalls) as there:
        with pytest.raises(IdleTimeout):
            await ask(upstream, there.url, timeouts=Timeouts(idle=0.05))


async def test_a_gateway_that_is_not_there_is_named(upstream, unused_tcp_port):
    with pytest.raises(Refusal, match=f"127.0.0.1:{unused_tcp_port}: Connection refused") as refused:
        await ask(upstream, f"http://127.0.0.1:{unused_tcp_port}")
    assert (refused.value.code, refused.value.retry) == ("unreachable", None)
    with pytest.raises(Refusal, match=r"no such host as 'nowhere\.invalid'") as refused:
        await ask(upstream, "http://nowhere.invalid")
    assert (refused.value.code, refused.value.retry) == ("unreachable", False)


async def test_a_gateway_that_says_goodbye_in_a_stalled_upload_is_not_waited_for(upstream):
    taken = asyncio.Event()

    async def endless():
        while True:
            taken.set()
            yield b"x" * 65536

    async def takes_nothing(talk):
        await talk.reader.readuntil(b"\r\n\r\n")
        while taken.is_set():  # until the buffers between the two are full
            taken.clear()
            await asyncio.sleep(0.2)
        talk.writer.write_eof()
        await hung_up.wait()

    hung_up = asyncio.Event()
    async with raw_gateway(takes_nothing) as there, asyncio.timeout(10):
        with pytest.raises(Refusal) as refused:
            await ask(upstream, there.url, body=endless())
        assert refused.value.code == "upstream_closed"
        hung_up.set()
