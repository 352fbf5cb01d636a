"""An exchange that has ended leaves nothing for the garbage collector: its pauses would be every stream's."""

from __future__ import annotations

import asyncio
import gc

import pytest
from aiohttp import web
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, client, one_gateway, request, running, until

from sidecar.errors import Refusal
from sidecar.metering.meter import Meter
from sidecar.proxy import upload
from sidecar.proxy.agent import AgentRequest
from sidecar.proxy.answer import Answer
from sidecar.proxy.record import Record
from sidecar.proxy.reply import Reply
from sidecar.server.plain import PlainBody
from sidecar.server.through_aiohttp import AiohttpBody, AiohttpConnection
from sidecar.wire.message import Message

OF_AN_EXCHANGE = (AgentRequest, PlainBody, AiohttpBody, AiohttpConnection, web.BaseRequest, Record, Reply, Message, Meter, Answer, Refusal)
#: Longer than what comes together with a head, so that a body of its own is made for it.
LARGE = b'{"model":"m","a":"%s"}' % (b"x" * 300_000)

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


async def hang_up(talk):
    await talk.request()


async def answer_and_break_off(talk):
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")


async def speak_nonsense(talk):
    await talk.request()
    await talk.send(b"SSH-2.0\r\n\r\n")


async def never_answer(talk):
    await talk.request()
    await talk.reader.read()


async def never_end(talk):
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    await talk.reader.read()


#: what the gateway does, what the agent's request has more, the code of the answer
REFUSED = {
    "no pass": (hang_up, {"held": "nothing"}, b"bad_pass"),
    "a bad pass": (hang_up, {"held": "sidecar-pass-no"}, b"bad_pass"),
    "a web page": (hang_up, {"fields": (b"Origin: https://a.example",)}, b"forbidden_origin"),
    "a path that is not allowed": (hang_up, {"fields": (b"x-sidecar-gateway: closed",)}, b"forbidden_path"),
    "a bad header": (hang_up, {"fields": (b"x-sidecar-tags: " + b"t" * 300,)}, b"bad_header"),
    "a command that fails": (hang_up, {"fields": (b"x-sidecar-gateway: failing",)}, b"credential_failed"),
    "no key": (hang_up, {"fields": (b"x-sidecar-gateway: keyless",)}, b"no_credential"),
    "nobody there": (hang_up, {"fields": (b"x-sidecar-gateway: dead",)}, b"unreachable"),
    "closed before the reply": (hang_up, {}, b"upstream_closed"),
    "no HTTP": (speak_nonsense, {}, b"bad_reply"),
    "too late": (never_answer, {}, b"timeout_first_byte"),
    "too large": (hang_up, {"body": LARGE * 4}, b"request_too_large"),
}
LIMITS = "timeouts: {first_byte: 50ms}\nlimits: {body: 1MiB}\n"


def gateways(url: str) -> str:
    more = "  failing: {base_url: 'http://127.0.0.1:1', credential: {command: ['false']}}\n"
    more += "  keyless: {base_url: 'http://127.0.0.1:1', credential: {env: NO_SUCH_KEY}}\n"
    more += "  closed: {base_url: 'http://127.0.0.1:1', credential: {env: THERE_KEY}, only: [/v2/*]}\n"
    return one_gateway(url, f"{more}  dead: {{base_url: 'http://127.0.0.1:1', credential: {{env: THERE_KEY}}}}\n") + LIMITS


def sent(sidecar, form: str, *fields: bytes, body: bytes = LARGE, held: str | None = None) -> bytes:
    if form == "whole":
        return request(sidecar, *fields, body=body, held=held)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return request(sidecar, *fields, b"Transfer-Encoding: chunked", body=None, held=held) + chunks


def left(collected) -> list[object]:
    gc.collect()
    large = (bytes, bytearray, memoryview)
    return [each for each in collected if isinstance(each, OF_AN_EXCHANGE) or (isinstance(each, large) and len(each) > 100_000)]


@pytest.mark.parametrize("form", ["whole", "in chunks"])
@pytest.mark.parametrize(("gateway", "more", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_refused_request_leaves_no_circles_behind(tmp_path, collected, gateway, more, code, form):
    more = dict(more)
    fields = more.pop("fields", ())
    async with raw_gateway(gateway) as there, running(tmp_path, gateways(there.url)) as sidecar:
        for _ in range(2):
            async with client(sidecar) as agent:
                agent.send(sent(sidecar, form, *fields, **more))
                assert (await agent.reply()).value(b"x-sidecar-error") == code
        await asyncio.sleep(0)
        assert left(collected) == []


@pytest.mark.parametrize("form", ["whole", "in chunks"])
@pytest.mark.parametrize("gateway", [never_answer, never_end])
async def test_an_agent_that_leaves_leaves_no_circles_behind(tmp_path, collected, gateway, form):
    async with raw_gateway(gateway) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        for number in range(2):
            async with client(sidecar) as agent:
                agent.send(sent(sidecar, form))
                await until(lambda number=number: len(there.requests) > number)
                if gateway is never_end:
                    await agent.reader.readuntil(b"x")
        await sidecar.rows(2)
        assert left(collected) == []


@pytest.mark.parametrize("form", ["whole", "in chunks"])
async def test_a_reply_that_is_cut_leaves_no_circles_behind(tmp_path, collected, form):
    async with raw_gateway(answer_and_break_off) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        for _ in range(2):
            async with client(sidecar) as agent:
                agent.send(sent(sidecar, form))
                assert not (await agent.reply()).is_whole
        await sidecar.rows(2)
        assert left(collected) == []


@pytest.mark.parametrize("form", ["whole", "in chunks"])
@pytest.mark.parametrize("ends", ["leaves", "falls silent"])
async def test_a_body_that_stops_half_way_leaves_no_circles_behind(tmp_path, collected, monkeypatch, form, ends):
    monkeypatch.setattr(upload.pieces, "__defaults__", (0.1 if ends == "falls silent" else 60.0,))
    async with raw_gateway(hang_up) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        for _ in range(2):
            async with client(sidecar) as agent:
                agent.send(sent(sidecar, form)[:-20])
                if ends == "leaves":
                    await agent.writer.drain()
                    await asyncio.sleep(0.05)
                else:
                    assert (await agent.reply()).value(b"x-sidecar-error") == b"bad_request"
        await asyncio.sleep(0.05)
        found = left(collected)
        if form == "in chunks":  # the server library's own request is in a circle with its connection's task, without a body
            found = [each for each in found if isinstance(each, (bytes, bytearray, memoryview))]
        assert found == []
