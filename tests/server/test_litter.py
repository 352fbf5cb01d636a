"""An exchange that has ended leaves nothing for the garbage collector: its pauses would be every stream's."""

from __future__ import annotations

import gc

import pytest
from aiohttp import web
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, one_gateway, running

from sidecar.metering.meter import Meter
from sidecar.proxy.answer import Answer
from sidecar.proxy.record import Record
from sidecar.proxy.reply import Reply
from sidecar.wire.message import Message

OF_AN_EXCHANGE = (web.BaseRequest, Record, Reply, Message, Meter, Answer)

SSE = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
REPLIES = {
    "a body": reply(b'{"usage":{"input_tokens":1,"output_tokens":1}}'),
    "a stream": reply(SSE, framing="chunked"),
    "an error": reply(b'{"type":"error","error":{"type":"overloaded_error"}}', status=b"529 "),
}


@pytest.fixture
def collected():
    """What only the collector can free is kept to be looked at."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("answer", REPLIES.values(), ids=REPLIES)
async def test_an_exchange_leaves_no_circles_behind(tmp_path, collected, answer):
    async with raw_gateway(says(answer)) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        for _ in range(3):
            await ask(sidecar)
        await sidecar.rows(3)
        gc.collect()
        assert [litter for litter in collected if isinstance(litter, OF_AN_EXCHANGE)] == []
