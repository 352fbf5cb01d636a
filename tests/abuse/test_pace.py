"""Agents that are slow, stop half-way, ask ahead or leave, at every stage of an exchange: each ends by itself and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest
from fakes.leaks import nothing_left_behind
from fakes.raw import raw_gateway, reply, says
from fakes.running import client, one_gateway, request, running, until

MANY = 2 * 1024 * 1024
MESSAGE = b'{"type":"message","content":[]}'
OPEN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def never_answers(talk):
    await talk.request()
    await talk.reader.read()


async def begins(talk):
    await talk.request()
    await talk.send(OPEN, b"3\r\nabc\r\n")
    await talk.reader.read()


async def never_stops(talk):
    await talk.request()
    await talk.send(OPEN)
    while True:
        await talk.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


async def takes_no_body(talk):
    await talk.reader.readuntil(b"\r\n\r\n")
    talk.writer.transport.pause_reading()
    await asyncio.Event().wait()


STREAMED = {"target": b"/v1/files"}
#: name: (gateway, what the agent sends of its request, what it waits for, how the row ends: None for no row)
STAGES = {
    "connected": (never_answers, lambda _: b"", b"", None),
    "in the request line": (never_answers, lambda _: b"POST /v1/mess", b"", None),
    "in the fields": (never_answers, lambda sidecar: request(sidecar)[:60], b"", None),
    "in a body that is read whole": (never_answers, lambda sidecar: request(sidecar, body=b"x" * MANY)[:-1], b"", None),
    "in a body that is streamed": (
        never_answers,
        lambda sidecar: request(sidecar, body=b"x" * 9, **STREAMED)[:-1],
        b"",
        "client_cancelled",
    ),
    "waiting": (never_answers, request, b"", "client_cancelled"),
    "in the reply": (begins, request, b"abc\r\n", "client_cancelled"),
    "in a reply that it does not read": (never_stops, request, OPEN[:17], "client_cancelled"),
    "behind the reply": (says(reply(MESSAGE), then="fin"), request, MESSAGE, "complete"),
}


@pytest.mark.parametrize("how", ["closes", "resets", "closes its half"])
@pytest.mark.parametrize(("script", "sent", "awaited", "outcome"), STAGES.values(), ids=STAGES)
async def test_an_agent_that_leaves_takes_everything_with_it(tmp_path, script, sent, awaited, outcome, how):
    async with nothing_left_behind(), raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        async with nothing_left_behind():
            writer.write(sent(sidecar))
            await writer.drain()
            if awaited:
                await reader.readuntil(awaited)
            elif outcome is not None:
                await until(lambda: there.connections)
            if how == "closes its half":
                writer.write_eof()
                await reader.read()
            elif how == "resets":
                writer.transport.abort()
            writer.close()
            if outcome is not None:
                rows = await sidecar.rows()
                assert [row["outcome"] for row in rows] == [outcome]
            if outcome == "client_cancelled":
                async with asyncio.timeout(2):
                    await there.lost.wait()
        if outcome is None:
            assert there.connections == 0
            assert sidecar.rows_now() == []


async def test_an_agent_that_leaves_while_the_gateway_takes_nothing_is_noticed_with_the_gateways_next_byte(tmp_path):
    """Both sides wait: the gateway does not read, so neither does the sidecar, and an end behind unread bytes is not seen."""
    go = asyncio.Event()

    async def script(talk):
        await talk.reader.readuntil(b"\r\n\r\n")
        talk.writer.transport.pause_reading()
        await go.wait()
        talk.writer.transport.resume_reading()
        await talk.reader.read()

    async with nothing_left_behind(), raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        writer.write(request(sidecar, b"Content-Length: 99000000", body=None, target=b"/v1/files") + b"x" * 30_000_000)
        sizes = [0, 1]
        while sizes[-1] != sizes[-2] or sizes[-1] == 30_000_000:  # until nobody takes anything any more
            await asyncio.sleep(0.05)
            sizes.append(writer.transport.get_write_buffer_size())
        writer.transport.abort()
        go.set()
        assert [row["outcome"] for row in await sidecar.rows()] == ["client_cancelled"]
        async with asyncio.timeout(2):
            await there.lost.wait()


@pytest.mark.parametrize("target", [b"/v1/messages", b"/v1/files"])
async def test_a_request_that_comes_byte_by_byte_arrives_whole(tmp_path, target):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        for byte in request(sidecar, b"X-Slow: very", body=b'{"model":"m"}', target=target):
            agent.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await agent.reply()).status == 200
        assert (there.requests[0].body, there.requests[0].values(b"x-slow")) == (b'{"model":"m"}', [b"very"])


async def test_requests_asked_ahead_are_answered_in_their_order(tmp_path):
    async def script(talk):
        while asked := await talk.request():
            await talk.send(reply(asked.target))

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        targets = [b"/v1/files/%d" % number for number in range(50)]
        agent.send(b"".join(request(sidecar, target=target, body=b"x" * (number % 7)) for number, target in enumerate(targets)))
        assert [(await agent.reply()).body for _ in targets] == targets
        assert [each.target for each in there.requests] == targets
        assert len(await sidecar.rows(50)) == 50


async def test_requests_asked_ahead_of_a_reply_that_does_not_end_are_not_collected(tmp_path):
    async with raw_gateway(begins) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        agent.send(request(sidecar))
        await agent.reader.readuntil(b"abc\r\n")
        size = agent.writer.transport.get_write_buffer_size()
        agent.send(request(sidecar) * 100_000)
        sizes = [size]
        while len(sizes) < 3 or sizes[-1] != sizes[-3]:
            await asyncio.sleep(0.05)
            sizes.append(agent.writer.transport.get_write_buffer_size())
        assert sizes[-1] > 10_000_000  # most of it stays with the agent
        assert len(there.requests) == 1


async def test_what_was_asked_behind_a_reply_that_broke_off_is_not_sent(tmp_path):
    async with (
        raw_gateway(says(OPEN, b"3\r\nabc\r\n", then="fin")) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
        client(sidecar) as agent,
    ):
        agent.send(request(sidecar, target=b"/v1/files") * 3)
        assert (await agent.reader.read()).endswith(b"\r\n\r\n3\r\nabc\r\n")
        assert [row["outcome"] for row in await sidecar.rows()] == ["upstream_truncated"]
        assert len(there.requests) == 1
