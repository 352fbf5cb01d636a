"""Real Claude Code when the gateway breaks off: a cut is a cut to it, so it asks again, without `stream`."""

from __future__ import annotations

import asyncio
import json

import pytest
from fakes.raw import raw_gateway, reply
from fakes.running import one_gateway, running
from faults.events import START
from faults.promises import promised
from faults.stage import break_off
from faults.table import Coding, cells

pytestmark = pytest.mark.agent

ANSWER = {
    "id": "msg_2",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "whole after all"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 6},
}
CUT = {
    str(cell): cell
    for cell in cells()
    if cell.framing and cell.agent == "1.1" and cell.coding is Coding.PLAIN and START in getattr(cell.fault, "pieces", ())
    if promised(cell).outcome == "upstream_truncated" and not promised(cell).is_whole
}


@pytest.mark.parametrize("cell", CUT.values(), ids=CUT)
async def test_a_cut_makes_it_ask_again_without_stream(desk, claude, cell, tmp_path):
    at_once = asyncio.Event()
    at_once.set()

    async def script(talk):
        while request := await talk.request():
            if json.loads(request.body).get("stream"):
                await break_off(cell, talk, at_once)
                return
            await talk.send(reply(json.dumps(ANSWER).encode(), b"Content-Type: application/json"))

    async with raw_gateway(script) as there, running(tmp_path / "sidecar", one_gateway(there.url)) as sidecar:
        environ = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{sidecar.port}", "ANTHROPIC_AUTH_TOKEN": sidecar.given}
        ended = await desk.do(claude, "-p", "say hi", **environ)
        assert (ended.code, ended.out.strip()) == (0, "whole after all")
        assert [json.loads(request.body).get("stream") for request in there.requests] == [True, None]
        first, second = await sidecar.rows(2)
        assert (first["outcome"], first["usage_source"], first["input_tokens"]) == ("upstream_truncated", "partial", 3)
        assert (second["outcome"], second["usage_source"], second["output_tokens"]) == ("complete", "final", 6)
