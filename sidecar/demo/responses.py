"""The stand-in's Responses: a request's bytes -> `Ask`, an `Ask` -> one response, or the same as a stream.  Pure.

The events are those of https://platform.openai.com/docs/api-reference/responses-streaming, as many as Codex needs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sidecar.demo.answer import digest, said, words
from sidecar.demo.ask import Ask, Json, objects, of_openai, opened, text_of, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_THE_MODEL = ("reasoning", "function_call", "custom_tool_call")


def read(body: bytes) -> Ask:
    """ValueError for what is no such request; its text is the error message."""
    fields, model = opened(body)
    given = fields.get("input")
    items: list[Json] = [{"role": "user", "content": given}] if isinstance(given, str) else objects(given)
    if not items:
        raise ValueError("input: Field required")
    turn = max((at + 1 for at, item in enumerate(items) if item.get("role") == "assistant" or item.get("type") in _OF_THE_MODEL), default=0)
    results = [text_of(item.get("output")) for item in items[turn:] if str(item.get("type")).endswith("call_output")]
    tools = {str(tool.get("name")) for tool in objects(fields.get("tools"))}
    return of_openai(fields, model, items[:turn], items[turn:], results, tools)


def response(ask: Ask) -> Json:
    return _head(ask, "completed") | {"output": _items(ask), "usage": usage(ask)}


def events(ask: Ask) -> Iterator[Json]:
    """The answer as a stream.  The event's name is its `type`."""
    yield {"type": "response.created", "response": _head(ask, "in_progress")}
    for index, item in enumerate(_items(ask)):
        yield {"type": "response.output_item.added", "output_index": index, "item": item | {"status": "in_progress"}}
        if item["type"] == "message":
            place = {"item_id": item["id"], "output_index": index, "content_index": 0}
            yield from ({"type": "response.output_text.delta", **place, "delta": word} for word in words(said(ask)))
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": response(ask)}


def failed(message: str) -> Json:
    """The event in which a stream breaks off."""
    return {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": message}}}


def usage(ask: Ask) -> Json:
    """What the answer reports as consumed: fixed by the request alone."""
    output = sum(tokens(item) for item in _items(ask))
    return {
        "input_tokens": ask.prompt.total,
        "input_tokens_details": {"cached_tokens": ask.prompt.cache_read},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ask.prompt.total + output,
    }


def _head(ask: Ask, status: str) -> Json:
    return {
        "id": f"resp_standin_{digest(ask)}",
        "object": "response",
        "created_at": 1_767_225_600,
        "status": status,
        "model": ask.model,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }


def _items(ask: Ask) -> list[Json]:
    mark = digest(ask)
    text = {"type": "output_text", "text": said(ask), "annotations": []}
    message: Json = {"type": "message", "id": f"msg_standin_{mark}", "role": "assistant", "status": "completed", "content": [text]}
    calls: list[Json] = [
        {
            "type": "function_call",
            "id": f"fc_standin_{mark}_{number}",
            "call_id": f"call_standin_{mark}_{number}",
            "name": call.name,
            "arguments": json.dumps(call.input),
            "status": "completed",
        }
        for number, call in enumerate(ask.calls)
    ]
    return [message, *calls]
