"""What is under way is told to the owner while it is, with the tokens named so far."""

from __future__ import annotations

import asyncio
import json

from fakes.raw import raw_gateway
from fakes.running import ask, client, one_gateway, request, running

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-opus-4-8","usage":'
    b'{"input_tokens":12,"cache_read_input_tokens":900,"output_tokens":1}}}\n\n'
)


async def test_a_stream_is_told_while_it_runs_and_gone_when_it_has_ended(tmp_path):
    go_on = asyncio.Event()

    async def slowly(conversation):
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + START)
        await go_on.wait()
        conversation.fin()

    async with raw_gateway(slowly) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        control = sidecar.minted(scope="control")

        async def streams():
            got = await ask(sidecar, method=b"GET", target=b"/_sidecar/streams", body=None, held=control)
            return json.loads(got.body)["streams"]

        assert await streams() == []
        agent.send(request(sidecar, b"x-claude-code-session-id: s-1", body=b'{"model":"claude-opus-4-8","stream":true}'))
        await agent.reader.readuntil(b"output_tokens")
        [told] = await streams()
        assert {name: told[name] for name in ("session", "gateway", "model", "agent")} == {
            "session": "s-1",
            "gateway": "there",
            "model": "claude-opus-4-8",
            "agent": None,
        }
        assert (told["input_tokens"], told["cache_read_tokens"], told["output_tokens"]) == (12, 900, 1)
        assert told["bytes_out"] == len(START)
        assert 0 < told["first_byte_ms"] <= told["age_ms"]
        go_on.set()
        await sidecar.rows()
        assert await streams() == []


async def test_an_agents_pass_does_not_see_the_streams_of_others(tmp_path):
    async def nothing(conversation):
        await conversation.request()

    async with raw_gateway(nothing) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        assert (await ask(sidecar, method=b"GET", target=b"/_sidecar/streams", body=None)).status == 403
