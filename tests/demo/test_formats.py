"""The stand-in's OpenAI formats: what it says streamed and whole is the same, and the sidecar's own meter reads it."""

from __future__ import annotations

import json

import aiohttp
import pytest

from sidecar.demo.formats import format_of
from sidecar.demo.gateway import StandIn
from sidecar.ledger.entry import Kind
from sidecar.metering.meter import Meter
from sidecar.metering.reading import Reading, UsageSource
from sidecar.wire.target import call_of

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def request(path: str, *turns: tuple[str, str], **more: object) -> bytes:
    messages = [{"role": role, "content": text} for role, text in turns]
    return json.dumps({"model": "m", "messages" if path == CHAT else "input": messages} | more).encode()


def chat_tool(name: str) -> dict[str, object]:
    return {"type": "function", "function": {"name": name}}


async def said(gateway: StandIn, path: str, body: bytes) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as client, client.post(gateway.url + path, data=body) as reply:
        return reply.status, await reply.read()


def read(path: str, reply: bytes) -> Reading:
    meter = Meter(Kind.INFERENCE, None, call_of("POST", path).protocol)
    meter.feed(reply)
    return meter.reading()


@pytest.fixture
async def gateway():
    async with StandIn(pace=0) as running:
        yield running


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_streamed_and_whole_say_the_same(gateway, path):
    asked = [("user", "one"), ("assistant", "two"), ("user", "say hi")]
    more = {"stream_options": {"include_usage": True}} if path == CHAT else {}
    _, whole = await said(gateway, path, request(path, *asked, **more))
    _, stream = await said(gateway, path, request(path, *asked, stream=True, **more))
    assert "You said: “say hi”." in whole.decode()
    one, other = read(path, whole), read(path, stream)
    assert (one.usage, one.stop_reason, one.model, one.usage_source) == (other.usage, other.stop_reason, other.model, other.usage_source)
    assert (one.finished, one.usage_source) == (True, UsageSource.FINAL)
    assert one.usage.cache_read > one.usage.input > 0 < one.usage.output


async def test_usage_comes_to_whom_asked_for_it(gateway):
    _, stream = await said(gateway, CHAT, request(CHAT, ("user", "hi"), stream=True))
    assert stream.endswith(b"data: [DONE]\n\n")
    assert read(CHAT, stream).usage_source is UsageSource.NONE


async def test_a_tool_is_used_and_its_result_quoted(gateway):
    asked = ("user", 'use tool shell {"cmd": "ls"}')
    _, called = await said(gateway, CHAT, request(CHAT, asked, tools=[chat_tool("shell")]))
    [choice] = json.loads(called)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "shell", "arguments": '{"cmd": "ls"}'}
    messages = [{"role": "user", "content": asked[1]}, choice["message"], {"role": "tool", "tool_call_id": "x", "content": "a.txt"}]
    _, answered = await said(gateway, CHAT, json.dumps({"model": "m", "messages": messages}).encode())
    assert json.loads(answered)["choices"][0]["message"]["content"] == "The tool said: “a.txt”."


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("text", "failed", "finished"), [("error-event", True, False), ("end-early", False, False), ("error-429", True, False)]
)
async def test_it_misbehaves_in_every_format(gateway, path, text, failed, finished):
    _, reply = await said(gateway, path, request(path, ("user", text), stream=True))
    reading = read(path, reply)
    assert (reading.failed, reading.finished) == (failed, finished)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "m"}'])
async def test_what_is_no_request_is_refused_in_the_formats_own_words(gateway, path, body):
    status, reply = await said(gateway, path, body)
    assert status == 400
    assert json.loads(reply)["error"]["type"] == "invalid_request_error"


def test_a_path_that_is_no_formats_has_none():
    assert format_of("/v1/embeddings") is None
