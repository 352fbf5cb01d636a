"""Heads and bodies beyond every measure: what fits passes, what does not is refused, and no byte of it becomes another request."""

from __future__ import annotations

import asyncio

import pytest
from fakes.leaks import nothing_left_behind
from fakes.raw import raw_gateway, reply, says
from fakes.running import client, one_gateway, request, running

LIMITED = "limits: {body: 64KiB}\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: anything\r\n\r\n"


@pytest.fixture
async def both(tmp_path):
    async with (
        nothing_left_behind(),
        raw_gateway(says(reply(), then="fin")) as there,
        running(tmp_path, one_gateway(there.url) + LIMITED) as sidecar,
    ):
        yield there, sidecar


async def is_served(sidecar):
    async with client(sidecar) as agent:
        agent.send(request(sidecar))
        return (await agent.reply()).status == 200


@pytest.mark.parametrize("size", [100_000, 250_000])
async def test_a_large_field_passes(both, size):
    there, sidecar = both
    async with client(sidecar) as agent:
        agent.send(request(sidecar, b"X-Large: " + b"y" * size))
        assert (await agent.reply()).status == 200
    assert there.requests[0].values(b"x-large") == [b"y" * size]


TOO_LARGE = {
    "ten thousand fields": lambda sidecar: request(sidecar, *(b"X-%d: y" % number for number in range(10_000))),
    "a field of 300 kB": lambda sidecar: request(sidecar, b"X: " + b"y" * 300_000),
    "a target of 300 kB": lambda sidecar: request(sidecar, target=b"/v1/" + b"y" * 300_000),
    "a target without end": lambda _: b"GET /" + b"y" * 5_000_000,
    "a field without end": lambda _: b"GET / HTTP/1.1\r\nX: " + b"y" * 5_000_000,
    "fields without end": lambda _: b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1_000_000,
}


@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_a_head_that_is_too_large_is_refused_while_it_comes(both, sent):
    there, sidecar = both
    async with client(sidecar) as agent:
        agent.send(sent(sidecar))
        assert (await agent.reader.read(4096)).startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert there.requests == []
    assert await is_served(sidecar)


def chunked(body):
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


OVER = INNER * 2000
BODIES = {
    "as long as it says": lambda sidecar: request(sidecar, body=OVER),
    "in chunks": lambda sidecar: request(sidecar, b"Transfer-Encoding: chunked", body=None) + chunked(OVER),
    "of a length that never comes": lambda sidecar: request(sidecar, b"Content-Length: 999999999", body=None) + OVER,
    "in a chunk that never ends": lambda sidecar: request(sidecar, b"Transfer-Encoding: chunked", body=None) + b"ffffff\r\n" + OVER,
    "announced and waiting to go on": lambda sidecar: request(sidecar, b"Expect: 100-continue", b"Content-Length: 999999", body=None),
    "ten megabytes long": lambda sidecar: request(sidecar, body=INNER * 160_000),
}


@pytest.mark.parametrize("sent", BODIES.values(), ids=BODIES)
async def test_a_body_over_the_limit_is_told_and_never_read_as_a_request(both, sent):
    there, sidecar = both
    async with client(sidecar) as agent:
        agent.send(sent(sidecar))
        if b"Expect: " in sent(sidecar):
            await agent.reader.readuntil(b" 100 Continue\r\n\r\n")
        got = await agent.reply()
        assert (got.status, got.value(b"x-sidecar-error"), got.is_whole) == (413, b"request_too_large", True)
        agent.send(request(sidecar))
        try:
            second = await agent.reply()
        except (asyncio.IncompleteReadError, ConnectionError):
            second = None  # closed: as good
        assert second is None or second.status == 200
    assert {each.target for each in there.requests} <= {b"/v1/messages?beta=true"}
    assert await is_served(sidecar)
    assert {row["path"] for row in await sidecar.rows()} == {"/v1/messages"}
