"""Usage wherever vendors and translators report it, in every form of a reply, and what it costs by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sidecar.metering.meter import Meter
from sidecar.metering.reading import Reading, Usage, UsageSource
from sidecar.pricing.bill import Billed
from sidecar.pricing.cost import cost
from sidecar.pricing.terms import Terms
from sidecar.wire.target import Kind, call_of

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


def read(reply: bytes, path: str) -> Reading:
    meter = Meter(Kind.INFERENCE, None, call_of("POST", path).protocol)
    meter.feed(reply)
    return meter.reading()


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def sse(*events: dict[str, object]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chat(usage: object, model: str) -> dict[str, bytes]:
    """Every form in which Chat Completions carry usage."""
    head = {"id": "c", "object": "chat.completion.chunk", "model": model}
    start = {**head, "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}], "x_groq": {"id": "req"}}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    done = b"data: [DONE]\n\n"
    answer = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    return {
        "body": body({**head, "choices": [answer], "usage": usage}),
        "chunk without choices": sse(start, {**head, "choices": [end]}, {**head, "choices": [], "usage": usage}) + done,
        "last chunk": sse(start, {**head, "choices": [end], "usage": usage}) + done,
        "x_groq": sse(start, {**head, "choices": [end], "x_groq": {"id": "req", "usage": usage}}) + done,
        "choice": sse(start, {**head, "choices": [{**end, "usage": usage}]}) + done,
        "choice beside null": sse(start, {**head, "choices": [{**end, "usage": usage}], "usage": None}) + done,
        "choice of a body": body({**head, "choices": [{**answer, "usage": usage}]}),
    }


def responses(usage: object, model: str, **more: object) -> dict[str, bytes]:
    whole = {"id": "r", "object": "response", "model": model, "status": "completed", "output": [], "usage": usage, **more}
    created = {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None, "tool_usage": None}}
    return {"body": body(whole), "stream": sse(created, {"type": "response.completed", "response": whole})}


def messages(usage: dict[str, object], model: str) -> dict[str, bytes]:
    start = {"id": "m", "type": "message", "model": model, "content": [], "usage": {"input_tokens": 0, "output_tokens": 0}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    return {
        "body": body({**start, "stop_reason": "end_turn", "usage": usage}),
        "stream": sse({"type": "message_start", "message": start}, delta, {"type": "message_stop"}),
    }


def check(forms: dict[str, bytes], path: str, expected: Usage, reported: float | None = None) -> Reading:
    for name, reply in forms.items():
        reading = read(reply, path)
        assert reading.usage == expected, name
        assert (reading.usage_source, reading.finished, reading.gave_up) == (UsageSource.FINAL, True, None), name
        assert reading.reported_cost_usd == reported, name
    return reading


def nanousd(reading: Reading, provider: str | None = None) -> int | None:
    names = ("service_tier", "speed", "inference_geo", "iterations", "stop_reason")
    return cost(Billed(reading.usage, reading.model, NOON, **{name: getattr(reading, name) for name in names}), Terms(provider)).nanousd


CHAT_USAGES = {
    "OpenAI": (
        {
            "prompt_tokens": 1000,
            "completion_tokens": 300,
            "total_tokens": 1300,
            "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 200},
        },
        Usage(input=400, output=300, cache_read=600, thinking=200),
    ),
    "xAI: reasoning beside the output": (
        {
            "prompt_tokens": 900,
            "completion_tokens": 40,
            "total_tokens": 1140,
            "prompt_tokens_details": {"cached_tokens": 300},
            "completion_tokens_details": {"reasoning_tokens": 200},
        },
        Usage(input=600, output=240, cache_read=300, thinking=200),
    ),
    "reasoning beside the output without a total": (
        {"prompt_tokens": 9, "completion_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 41}},
        Usage(input=9, output=81, thinking=41),
    ),
    "reasoning counted with another tokenizer": (
        {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49, "completion_tokens_details": {"reasoning_tokens": 41}},
        Usage(input=9, output=40, thinking=41),
    ),
    "Google: reasoning in the total alone": (
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115},
        Usage(input=10, output=105, thinking=100),
    ),
    "Databricks: reasoning at the top": (
        {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60, "reasoning_tokens": 20, "cache_read_input_tokens": 4},
        Usage(input=6, output=50, cache_read=4, thinking=20),
    ),
    "Moonshot": (
        {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, "cached_tokens": 80},
        Usage(input=20, output=7, cache_read=80),
    ),
    "DeepSeek": (
        {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
        Usage(input=36, output=7, cache_read=64),
    ),
    "a zero in one place and the count in another": (
        {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 64},
        Usage(input=36, output=7, cache_read=64),
    ),
    "Mistral": (
        {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, "num_cached_tokens": 64},
        Usage(input=36, output=7, cache_read=64),
    ),
    "New API: names of Responses beside those of Chat": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "total_tokens": 107,
            "input_tokens": 0,
            "output_tokens": 0,
            "input_tokens_details": None,
        },
        Usage(input=100, output=7),
    ),
    "names of Responses alone": (
        {"input_tokens": 100, "output_tokens": 7, "total_tokens": 107, "input_tokens_details": {"cached_tokens": 5}},
        Usage(input=95, output=7, cache_read=5),
    ),
    "Qwen: an explicit cache": (
        {
            "prompt_tokens": 3000,
            "completion_tokens": 10,
            "total_tokens": 3010,
            "prompt_tokens_details": {
                "cached_tokens": 1000,
                "cache_creation_input_tokens": 1500,
                "cache_creation": {"ephemeral_5m_input_tokens": 1500},
                "cache_type": "ephemeral",
            },
        },
        Usage(input=500, output=10, cache_read=1000, cache_write_5m=1500),
    ),
    "Anthropic's names at the top": (
        {
            "prompt_tokens": 3000,
            "completion_tokens": 10,
            "total_tokens": 3010,
            "cache_creation_input_tokens": 1500,
            "cache_read_input_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1000},
        },
        Usage(input=500, output=10, cache_read=1000, cache_write_5m=500, cache_write_1h=1000),
    ),
    "the cache beside the input": (
        {
            "prompt_tokens": 500,
            "completion_tokens": 10,
            "total_tokens": 3010,
            "cache_creation_input_tokens": 1500,
            "cache_read_input_tokens": 1000,
        },
        Usage(input=500, output=10, cache_read=1000, cache_write_5m=1500),
    ),
    "New API: two lifetimes, flat": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 1,
            "claude_cache_creation_5_m_tokens": 20,
            "claude_cache_creation_1_h_tokens": 30,
        },
        Usage(input=50, output=1, cache_write_5m=20, cache_write_1h=30),
    ),
    "twelve hours among the details": (
        {
            "prompt_tokens": 1000,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 900, "ttl_12h_tokens": 600},
        },
        Usage(input=100, output=1, cache_read=0, cache_write_5m=300, cache_write_1h=600),
    ),
    "no counts at all, and wrong ones": (
        {"prompt_tokens": 5, "completion_tokens": 6, "cached_tokens": -1, "prompt_tokens_details": [], "server_tool_use": "3", "cost": {}},
        Usage(input=5, output=6),
    ),
}


@pytest.mark.parametrize("name", CHAT_USAGES)
def test_chat_is_read_from_every_vendor_in_every_form(name):
    usage, expected = CHAT_USAGES[name]
    check(chat(usage, "some-model"), CHAT, expected)


RESPONSES_USAGES = {
    "OpenAI": (
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 500},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 1050,
        },
        Usage(input=200, output=50, cache_read=300, cache_write_5m=500, thinking=20),
    ),
    "twelve hours in an object of their own": (
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cache_write_tokens": 800, "cache_write_details": {"ttl_30m_tokens": 100, "ttl_12h_tokens": 700}},
            "output_tokens": 50,
            "total_tokens": 1050,
        },
        Usage(input=200, output=50, cache_write_5m=100, cache_write_1h=700),
    ),
    "xAI": (
        {
            "input_tokens": 9000,
            "input_tokens_details": {"cached_tokens": 3000},
            "output_tokens": 1300,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10_300,
            "num_server_side_tools_used": 3,
            "server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 1},
        },
        Usage(input=6000, output=1300, cache_read=3000, thinking=0, web_search_requests=2),
    ),
    "Perplexity": (
        {"input_tokens": 100, "input_tokens_details": {"cache_read_input_tokens": 40}, "output_tokens": 5, "total_tokens": 105},
        Usage(input=60, output=5, cache_read=40),
    ),
    "LiteLLM's names without a plural": (
        {
            "input_tokens": 100,
            "input_token_details": {"cached_tokens": 40},
            "output_tokens": 5,
            "output_token_details": {"reasoning_tokens": 2},
        },
        Usage(input=60, output=5, cache_read=40, thinking=2),
    ),
    "names of Chat": (
        {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens": 5, "total_tokens": 105},
        Usage(input=60, output=5, cache_read=40),
    ),
}


@pytest.mark.parametrize("name", RESPONSES_USAGES)
def test_responses_are_read_from_every_vendor_in_every_form(name):
    usage, expected = RESPONSES_USAGES[name]
    check(responses(usage, "some-model"), RESPONSES, expected)


PLAIN = {
    CHAT: (chat, {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
    RESPONSES: (responses, {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}),
    MESSAGES: (messages, {"input_tokens": 10, "output_tokens": 5}),
}


@pytest.mark.parametrize("path", PLAIN)
@pytest.mark.parametrize(
    ("more", "dollars"),
    [
        ({"cost": 0.25}, 0.25),
        ({"cost": 0}, 0),
        ({"cost": {"input_tokens_cost": 0.1, "total_cost": 0.5}}, 0.5),
        ({"estimated_cost": 0.25}, 0.25),
        ({"cost_in_usd_ticks": 469_000_000}, 0.0469),
        ({"cost_in_usd_ticks": 123_456_789_012}, 12.3456789012),
        ({"cost_in_usd_ticks": 469_000_000, "cost": 1}, 0.0469),
        ({"cost_in_nano_usd": 46_900_000}, 0.0469),
        # The vendor's bill for a key of one's own comes beside the fee; for everybody else it says the same again.
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": 0.25, "is_byok": True, "cost_details": {"upstream_inference_cost": 5}}, 5.25),
        ({"cost": 0, "cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": 0.25, "cost_details": {"upstream_inference_cost": 5}}, 5.25),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0.25, "is_byok": True}, None),
        ({"cost": 0.5, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": 0.5, "cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": 0.5, "cost_details": {"upstream_inference_cost": None}}, 0.5),
        ({"cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": None, "cost_details": None}, None),
        ({"cost": -1, "cost_in_usd_ticks": True, "cost_in_nano_usd": "5", "estimated_cost": 10**300}, None),
    ],
)
def test_what_the_gateway_says_it_costs_is_read_in_its_own_unit(path, more, dollars):
    forms, usage = PLAIN[path]
    check(forms(usage | more, "some-model"), path, Usage(input=10, output=5), dollars)


@pytest.mark.parametrize(
    ("gateway", "dollars"),
    [
        ({"cost": "0.0045405", "marketCost": "0.0045405"}, 0.0045405),
        ({"cost": "0", "marketCost": "0.25"}, 0.25),
        ({"cost": 0.5}, 0.5),
        ({"cost": "much", "marketCost": "nan"}, None),
        ({"cost": "-1"}, None),
        ({}, None),
    ],
)
def test_what_vercel_says_it_costs_stands_beside_the_answer(gateway, dollars):
    metadata = {"provider_metadata": {"gateway": gateway}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    whole = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": {"content": "x", **metadata}, "finish_reason": "stop"}],
        "usage": usage,
    }
    chunk = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": metadata, "finish_reason": "stop"}], "usage": usage}
    check({"body": body(whole), "stream": sse(chunk) + b"data: [DONE]\n\n"}, CHAT, Usage(10, 5), dollars)
    check(responses({"input_tokens": 10, "output_tokens": 5}, "m", **metadata), RESPONSES, Usage(10, 5), dollars)
    whole["usage"] = usage | {"cost": 0.125}
    assert read(body(whole), CHAT).reported_cost_usd == 0.125


@pytest.mark.parametrize("name", ["server_tool_use", "server_tool_use_details"])
def test_openrouters_searches_are_read_under_both_names(name):
    tools = {name: {"web_search_requests": 2, "tool_calls_executed": 3}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, **tools}
    check(chat(usage, "m"), CHAT, Usage(10, 5, web_search_requests=2))
    check(messages({"input_tokens": 10, "output_tokens": 5, **tools}, "m"), MESSAGES, Usage(10, 5, web_search_requests=2))


def test_claude_in_litellms_form_of_chat_costs_what_it_costs_in_messages():
    usage = {
        "prompt_tokens": 70_100,
        "completion_tokens": 500,
        "total_tokens": 70_600,
        "completion_tokens_details": {"reasoning_tokens": 120, "text_tokens": 380},
        "prompt_tokens_details": {
            "cached_tokens": 50_000,
            "cache_write_tokens": 20_000,
            "cache_creation_tokens": 20_000,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 5000, "ephemeral_1h_input_tokens": 15_000},
        },
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1},
        "cache_creation_input_tokens": 20_000,
        "cache_read_input_tokens": 50_000,
        "inference_geo": "us",
        "speed": "fast",
        "service_tier": "standard",
    }
    expected = Usage(100, 500, 50_000, 5000, 15_000, 120, 3, 1)
    reading = check(chat(usage, "claude-opus-4-8"), CHAT, expected)
    assert (reading.inference_geo, reading.speed, reading.service_tier) == ("us", "fast", "standard")
    # Dollars a million: 5 in, 0.50 read, 6.25 and 10 written, 25 out; twice for the fast mode, a tenth more for the place; 10 a thousand searches.
    tokens = 100 * 5000 + 50_000 * 500 + 5000 * 6250 + 15_000 * 10_000 + 500 * 25_000
    assert nanousd(reading) == tokens * 2 * 11 // 10 + 3 * 10_000_000


def search(action: str | None = "search", **more: object) -> dict[str, object]:
    return {"type": "web_search_call", "id": "ws", "status": "completed", **({"action": {"type": action}} if action else {}), **more}


CALLS = [search(), search("open_page"), search(None), search(status="failed"), search("find_in_page"), {"type": "message"}]


@pytest.mark.parametrize(
    ("more", "searches"),
    [
        ({"output": CALLS, "tool_usage": {"web_search": {"num_requests": 7}}}, 7),
        ({"output": CALLS, "tool_usage": {"web_search": {"num_requests": 0}}}, 0),
        ({"output": CALLS, "tool_usage": {"image_gen": {}}}, 2),
        ({"output": CALLS}, 2),
        ({"output": "none", "tool_usage": []}, None),
        ({}, None),
    ],
)
def test_web_searches_of_responses_are_counted_and_priced(more, searches):
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    reading = check(responses(usage, "gpt-5.2", **more), RESPONSES, Usage(1000, 100, web_search_requests=searches))
    assert nanousd(reading, "openai") == 1000 * 1750 + 100 * 14_000 + (searches or 0) * 10_000_000


def test_web_searches_are_counted_from_the_events_where_the_last_one_lists_no_output():
    events = [{"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(CALLS)]
    done = {"id": "r", "model": "gpt-5.2", "status": "completed", "output": [], "usage": {"input_tokens": 10, "output_tokens": 1}}
    assert read(sse(*events, {"type": "response.completed", "response": done}), RESPONSES).usage.web_search_requests == 2
    done["output"] = CALLS
    assert read(sse(*events, {"type": "response.completed", "response": done}), RESPONSES).usage.web_search_requests == 2


def test_a_search_of_xais_costs_half_as_much():
    price = {
        searches: cost(Billed(Usage(10, 1, web_search_requests=searches), "grok-4.5", NOON), Terms("x-ai")).nanousd for searches in (0, 3)
    }
    assert price[3] - price[0] == 3 * 5_000_000


def test_writes_for_twelve_hours_cost_twice_the_input():
    usage = {
        "input_tokens": 1000,
        "input_tokens_details": {"cache_write_tokens": 900, "cache_write_tokens_details": {"ttl_12h_tokens": 600}},
        "output_tokens": 0,
        "total_tokens": 1000,
    }
    reading = check(responses(usage, "gpt-5.6-sol"), RESPONSES, Usage(100, 0, cache_write_5m=300, cache_write_1h=600))
    price = 100 + 300 * 5 / 4 + 600 * 2
    plain = cost(Billed(Usage(1000, 0), "gpt-5.6-sol", NOON), Terms("openai")).nanousd
    assert nanousd(reading, "openai") == plain / 1000 * price


FABLE, OPUS = "claude-fable-5", "claude-opus-4-8"
DECLINED = {
    "type": "message",
    "model": FABLE,
    "input_tokens": 2,
    "output_tokens": 640,
    "cache_read_input_tokens": 70_000,
    "cache_creation_input_tokens": 9000,
    "cache_creation": {"ephemeral_5m_input_tokens": 4000, "ephemeral_1h_input_tokens": 5000},
}
SERVED = {"input_tokens": 2, "output_tokens": 3100, "cache_read_input_tokens": 79_000, "cache_creation_input_tokens": 0}
#: Dollars a million, in thousandths: Fable 10 in, 1 read, 12.50 and 20 written, 50 out; Opus 5, 0.50, 6.25, 10, 25.
OF_FABLE = 2 * 10_000 + 70_000 * 1000 + 4000 * 12_500 + 5000 * 20_000 + 640 * 50_000
OF_OPUS = 2 * 5000 + 79_000 * 500 + 3100 * 25_000


def fallback(*iterations: dict[str, object], block: bool = True, served: dict[str, object] | None = None) -> dict[str, bytes]:
    """A fallback from one model to another: the start reports the first attempt, the delta the last one."""
    usage = (served or SERVED) | {"iterations": [*iterations]}
    blocks = [{"type": "fallback", "from": {"model": FABLE}, "to": {"model": OPUS}}] if block else []
    first = {name: value for name, value in DECLINED.items() if name not in ("type", "model")} | {"output_tokens": 1}
    start = {"id": "m", "type": "message", "model": FABLE, "content": [], "usage": first}
    return {
        "body": body({**start, "model": OPUS, "content": blocks, "stop_reason": "end_turn", "usage": usage}),
        "stream": sse(
            {"type": "message_start", "message": start},
            *({"type": "content_block_start", "index": 0, "content_block": one} for one in blocks),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        ),
    }


UNNAMED = {name: value for name, value in DECLINED.items() if name != "model"}
LAST = {"type": "fallback_message", "model": OPUS, **SERVED}


@pytest.mark.parametrize("form", ["body", "stream"])
@pytest.mark.parametrize(
    ("iterations", "beside", "expected"),
    [
        ([DECLINED, LAST], [DECLINED], OF_FABLE + OF_OPUS),
        ([UNNAMED, LAST], [UNNAMED | {"model": FABLE}], OF_FABLE + OF_OPUS),
        # Nothing was written before it was declined: it is not billed.
        ([DECLINED | {"output_tokens": 0}, LAST], None, OF_OPUS),
        # Two declined in a row, each at its own rates.
        (
            [DECLINED, {"type": "fallback_message", "model": "claude-haiku-4-5", "input_tokens": 10, "output_tokens": 4}, LAST],
            [DECLINED, {"type": "fallback_message", "model": "claude-haiku-4-5", "input_tokens": 10, "output_tokens": 4}],
            OF_FABLE + 10 * 1000 + 4 * 5000 + OF_OPUS,
        ),
        # What the serving model did in several rounds is in the top level; compaction never is.
        ([LAST, LAST], None, OF_OPUS),
        (
            [DECLINED, {"type": "compaction", "input_tokens": 100, "output_tokens": 0}, LAST],
            [DECLINED, {"type": "compaction", "input_tokens": 100, "output_tokens": 0}],
            OF_FABLE + 100 * 5000 + OF_OPUS,
        ),
    ],
)
def test_a_declined_attempt_that_had_written_is_billed_beside_the_top_level(form, iterations, beside, expected):
    reading = read(fallback(*iterations)[form], MESSAGES)
    assert reading.model == OPUS
    assert reading.usage == Usage(2, 3100, 79_000, 0, reading.usage.cache_write_1h)
    assert not reading.usage.cache_write_1h
    assert json.loads(reading.iterations or "null") == beside
    assert nanousd(reading) == expected


def test_the_serving_model_is_known_without_a_fallback_block():
    for reply in fallback(DECLINED, LAST, block=False).values():
        reading = read(reply, MESSAGES)
        assert (reading.model, nanousd(reading)) == (OPUS, OF_FABLE + OF_OPUS)


def test_a_refusal_before_any_output_is_free_and_a_later_one_is_not():
    silent, spoken = Usage(412, 0, cache_read=1000), Usage(412, 3, cache_read=1000)
    declined = json.dumps([DECLINED])
    assert cost(Billed(silent, OPUS, NOON, stop_reason="refusal"), Terms()).nanousd == 0
    assert cost(Billed(silent, OPUS, NOON, stop_reason="refusal"), Terms()).source.endswith(", refused before any output")
    assert cost(Billed(silent, OPUS, NOON, stop_reason="end_turn"), Terms()).nanousd == 412 * 5000 + 1000 * 500
    assert cost(Billed(spoken, OPUS, NOON, stop_reason="refusal"), Terms()).nanousd == 412 * 5000 + 1000 * 500 + 3 * 25_000
    assert cost(Billed(silent, OPUS, NOON, stop_reason="refusal", iterations=declined), Terms()).nanousd == OF_FABLE


def test_an_iteration_may_have_a_speed_of_its_own():
    beside = json.dumps([{"type": "message", "model": OPUS, "speed": "fast", "input_tokens": 10, "output_tokens": 1}])
    assert cost(Billed(Usage(1, 1), FABLE, NOON, iterations=beside), Terms()).nanousd == 10_000 + 50_000 + 2 * (10 * 5000 + 25_000)


def test_messages_are_read_with_the_members_that_translators_add():
    flat = {"claude_cache_creation_5_m_tokens": 20, "claude_cache_creation_1_h_tokens": 30, "cache_creation_input_tokens": 50}
    check(messages({"input_tokens": 10, "output_tokens": 5, **flat}, OPUS), MESSAGES, Usage(10, 5, cache_write_5m=20, cache_write_1h=30))
    tools = {"server_side_tool_usage_details": {"web_search_calls": 2}}
    check(messages({"input_tokens": 10, "output_tokens": 5, **tools}, "grok-4"), MESSAGES, Usage(10, 5, web_search_requests=2))
