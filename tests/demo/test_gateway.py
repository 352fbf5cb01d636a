from __future__ import annotations

import asyncio
import gzip
import json
import time

import aiohttp
import anthropic
import pytest

from sidecar.demo.gateway import StandIn

HELLO = {"model": "any-model", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}


def body(said: str = "hello", **more: object) -> bytes:
    return json.dumps(HELLO | {"messages": [{"role": "user", "content": said}]} | more).encode()


async def post(gateway: StandIn, data: bytes, path: str = "/v1/messages", **headers: str) -> tuple[int, dict[str, str], bytes]:
    async with aiohttp.ClientSession(auto_decompress=False) as client, client.post(gateway.url + path, data=data, headers=headers) as reply:
        return reply.status, {name.lower(): value for name, value in reply.headers.items()}, await reply.read()


def events(stream: bytes) -> list[dict[str, object]]:
    assert stream.endswith(b"\n\n")
    found = []
    for block in stream.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


@pytest.fixture
async def gateway():
    async with StandIn(pace=0) as running:
        yield running


async def test_the_official_client_reads_a_streamed_answer(gateway):
    async with (
        anthropic.AsyncAnthropic(base_url=gateway.url, auth_token="any", api_key=None) as client,
        client.messages.stream(**HELLO) as stream,
    ):
        message = await stream.get_final_message()
    assert message.content[0].text.startswith("You said: “hello”.")
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 10


async def test_the_stream_and_the_whole_message_say_the_same(gateway):
    asked = {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    }
    async with anthropic.AsyncAnthropic(base_url=gateway.url, auth_token="any", api_key=None) as client:
        whole = await client.messages.create(**HELLO, **asked)
        async with client.messages.stream(**HELLO, **asked) as stream:
            streamed = await stream.get_final_message()
    assert [block.model_dump(exclude={"parsed_output"}) for block in streamed.content] == [block.model_dump() for block in whole.content]
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert streamed.usage.output_tokens == whole.usage.output_tokens > whole.usage.output_tokens_details.thinking_tokens > 0
    assert streamed.usage.cache_creation == whole.usage.cache_creation


async def test_a_stream_has_pings_and_cumulative_numbers_at_its_end(gateway):
    _, headers, stream = await post(gateway, body(stream=True))
    got = events(stream)
    assert headers["content-type"].startswith("text/event-stream")
    assert [event["type"] for event in got[:3]] == ["message_start", "ping", "content_block_start"]
    assert [event["type"] for event in got[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert got[0]["message"]["usage"]["output_tokens"] == 1 < got[-2]["usage"]["output_tokens"]
    assert got[0]["message"]["usage"]["input_tokens"] == got[-2]["usage"]["input_tokens"]


def usage_of(reply: bytes) -> tuple[int, int, int, int]:
    usage = json.loads(reply)["usage"]
    assert usage["cache_creation_input_tokens"] == sum(usage["cache_creation"].values())
    split = usage["cache_creation"]
    return (
        usage["input_tokens"],
        usage["cache_read_input_tokens"],
        split["ephemeral_5m_input_tokens"],
        split["ephemeral_1h_input_tokens"],
    )


@pytest.mark.parametrize(("ttl", "written"), [({}, (21, 0)), ({"ttl": "5m"}, (24, 0)), ({"ttl": "1h"}, (0, 24))])
async def test_the_first_turn_writes_the_cache_and_the_second_reads_it(gateway, ttl, written):
    system = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"} | ttl}]
    said = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]
    _, _, first = await post(gateway, json.dumps(HELLO | {"system": system, "messages": said[:1]}).encode())
    _, _, second = await post(gateway, json.dumps(HELLO | {"system": system, "messages": said}).encode())
    assert usage_of(first)[1:] == (0, *written)
    assert usage_of(second)[1] == sum(written)


async def test_without_cache_marks_all_input_is_fresh(gateway):
    _, _, reply = await post(gateway, body(system="Be kind."))
    assert usage_of(reply)[0] > 0
    assert usage_of(reply)[1:] == (0, 0, 0)


async def test_the_count_is_the_whole_input(gateway):
    marked = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    _, _, counted = await post(gateway, body(system=marked), "/v1/messages/count_tokens")
    _, _, reply = await post(gateway, body(system=marked))
    assert json.loads(counted) == {"input_tokens": sum(usage_of(reply))}


async def test_what_came_over_the_wire_is_kept_as_it_was(gateway):
    reader, writer = await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":"))
    packed = gzip.compress(body())
    head = b"POST /v1/%6dessages?b=2&b=1 HTTP/1.1\r\nHost: x\r\nX-Two: a\r\nx-two:  b \r\nContent-Encoding: gzip\r\nConnection: close\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)
    await reader.read()
    writer.close()
    await writer.wait_closed()
    [received] = gateway.received
    assert (received.method, received.target, received.body) == ("POST", "/v1/%6dessages?b=2&b=1", packed)
    assert received.fields[:3] == (("Host", "x"), ("X-Two", "a"), ("x-two", "b"))
    assert received.values("x-two") == ("a", "b")


TOOLS = [{"name": "Bash", "description": "Run.", "input_schema": {"type": "object"}}]


async def test_a_prompt_that_asks_for_a_tool_gets_it_used_and_the_result_quoted(gateway):
    asked = 'please use tool Bash {"command": "echo {}"} now, and use tool Missing {"x": 1}'
    async with anthropic.AsyncAnthropic(base_url=gateway.url, auth_token="any", api_key=None) as client:
        async with client.messages.stream(**HELLO | {"messages": [{"role": "user", "content": asked}]}, tools=TOOLS) as stream:
            first = await stream.get_final_message()
        [_, call] = first.content
        assert (first.stop_reason, call.name, call.input) == ("tool_use", "Bash", {"command": "echo {}"})
        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "brace"}]}
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = await client.messages.create(**HELLO | {"messages": turns}, tools=TOOLS)
    assert second.content[0].text == "The tool said: “brace”."
    assert second.stop_reason == "end_turn"


async def test_a_tool_that_is_not_offered_is_not_used(gateway):
    _, _, reply = await post(gateway, body('use tool Bash {"command": "ls"}'))
    assert json.loads(reply)["stop_reason"] == "end_turn"


async def test_what_a_client_wraps_around_the_prompt_is_not_quoted(gateway):
    content = [{"type": "text", "text": "say hi"}, {"type": "text", "text": "<system-reminder>error-500</system-reminder>"}]
    status, _, reply = await post(gateway, json.dumps(HELLO | {"messages": [{"role": "user", "content": content}]}).encode())
    assert status == 200
    assert "“say hi”" in json.loads(reply)["content"][0]["text"]


@pytest.mark.parametrize(
    ("status", "type_"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")]
)
async def test_an_error_comes_when_asked_for_in_the_envelope_of_the_api(gateway, status, type_):
    got, headers, reply = await post(gateway, body(f"error-{status} please", stream=True))
    assert got == status
    assert json.loads(reply)["error"]["type"] == type_
    assert json.loads(reply)["request_id"] == headers["request-id"]


async def test_a_model_name_can_ask_for_a_behaviour_too(gateway):
    status, headers, reply = await post(gateway, body(model="html-page"))
    assert (status, headers["content-type"].partition(";")[0]) == (403, "text/html")
    assert reply.startswith(b"<!doctype html>")


async def test_a_cut_stream_delivers_what_it_wrote_and_breaks(gateway):
    async with aiohttp.ClientSession() as client, client.post(gateway.url + "/v1/messages", data=body("cut-stream", stream=True)) as reply:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_a_stream_can_end_politely_and_early(gateway):
    status, _, stream = await post(gateway, body("end-early", stream=True))
    assert status == 200
    assert "message_delta" not in {event["type"] for event in events(stream)}


async def test_a_stream_can_end_in_an_error_event(gateway):
    status, _, stream = await post(gateway, body("error-event", stream=True))
    assert status == 200
    assert events(stream)[-1]["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reply_comes_compressed_when_asked_for(gateway, stream):
    _, headers, reply = await post(gateway, body("gzip-reply", stream=stream))
    assert headers["content-encoding"] == "gzip"
    assert "gzip-reply" in gzip.decompress(reply).decode()


async def test_a_slow_stream_is_slow_at_any_pace(gateway):
    begun = time.monotonic()
    async with aiohttp.ClientSession() as client, client.post(gateway.url + "/v1/messages", data=body("slow-stream", stream=True)) as reply:
        await reply.content.readuntil(b"content_block_start")
    assert time.monotonic() - begun >= 0.5


@pytest.mark.parametrize(
    "carrier", [{"authorization": "Bearer right"}, {"x-api-key": "right"}, {"x-edgee-api-key": "right", "x-api-key": "own"}]
)
async def test_the_right_key_is_let_in_by_any_of_its_headers(carrier):
    async with StandIn(pace=0, keys=frozenset({"right"})) as gateway:
        status, _, _ = await post(gateway, body(), **carrier)
    assert status == 200


@pytest.mark.parametrize("carrier", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic right"}])
async def test_any_other_key_gets_the_error_of_the_api(carrier):
    async with StandIn(pace=0, keys=frozenset({"right"})) as gateway:
        status, _, reply = await post(gateway, body(), **carrier)
    assert status == 401
    assert json.loads(reply)["error"] == {"type": "authentication_error", "message": "invalid x-api-key"}


@pytest.mark.parametrize("path", ["/v1/anthropic/messages", "/anthropic/v1/messages?beta=true", "/api/v1/messages"])
async def test_any_base_path_will_do(gateway, path):
    status, _, _ = await post(gateway, body(), path)
    assert status == 200


async def test_the_models_are_listed(gateway):
    async with anthropic.AsyncAnthropic(base_url=gateway.url, auth_token="any", api_key=None) as client:
        models = [model.id async for model in client.models.list()]
    assert "claude-sonnet-4-5" in models


@pytest.mark.parametrize(
    ("data", "message"), [(b"[]", "model: Field required"), (b'{"model": "m", "messages": []}', "messages: Field required"), (b"{", "")]
)
async def test_a_body_that_is_no_request_is_refused_and_kept(gateway, data, message):
    status, _, reply = await post(gateway, data)
    assert status == 400
    assert message in json.loads(reply)["error"]["message"]
    assert gateway.received[-1].body == data
