"""The agent's body: every piece as it comes, and an end when nothing more does."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from fakes.raw import raw_gateway

from sidecar.errors import Refusal
from sidecar.gateways.gateway import Auth, Gateway, Secret
from sidecar.proxy.upload import pieces
from sidecar.proxy.upstream import Upstream


async def stalls():
    yield b"abc"
    await asyncio.Event().wait()


async def test_a_body_that_falls_silent_is_given_up():
    body = pieces(stalls(), 0.05)
    assert await anext(body) == b"abc"
    with pytest.raises(Refusal, match=r"did not come within 0\.05 s") as refused:
        await anext(body)
    assert (refused.value.code, refused.value.retry) == ("bad_request", False)


async def test_a_body_that_falls_silent_under_way_is_the_agents_fault_and_lets_the_gateway_go():
    async def script(talk):
        await talk.reader.read()

    upstream = Upstream(lambda _name: None)
    async with raw_gateway(script) as there:
        gateway = Gateway(name="g", preset=None, base_url=there.url, auth=Auth("x-api-key"), credential=Secret(()), proxy="none")
        body = pieces(stalls(), 0.05)
        with (
            contextlib.closing(await upstream.send(gateway, "POST", "/v1/files", [], body, None)) as got,
            pytest.raises(Refusal, match="did not come"),
        ):
            await got.head(None)
        async with asyncio.timeout(1):
            await there.lost.wait()
