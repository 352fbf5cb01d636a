"""The stand-in's Chat Completions: a request's bytes -> `Ask`, an `Ask` -> one completion, or the same as a stream.  Pure.

The chunks are those of https://platform.openai.com/docs/api-reference/chat-streaming; usage comes only to whom asked for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sidecar.demo.answer import digest, said, words
from sidecar.demo.ask import Ask, Json, member, objects, of_openai, opened, text_of, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(body: bytes) -> Ask:
    """ValueError for what is no such request; its text is the error message."""
    fields, model = opened(body)
    messages = objects(fields.get("messages"))
    if not messages:
        raise ValueError("messages: Field required")
    turn = max((at + 1 for at, message in enumerate(messages) if message.get("role") == "assistant"), default=0)
    results = [text_of(message.get("content")) for message in messages[turn:] if message.get("role") == "tool"]
    tools = {str(member(tool, "function").get("name")) for tool in objects(fields.get("tools"))}
    wants_usage = member(fields, "stream_options").get("include_usage") is True
    return of_openai(fields, model, messages[:turn], messages[turn:], results, tools, wants_usage=wants_usage)


def completion(ask: Ask) -> Json:
    message: Json = {"role": "assistant", "content": said(ask), "refusal": None}
    if ask.calls:
        message["tool_calls"] = _calls(ask)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(ask)}
    return _head(ask, "chat.completion") | {"choices": [choice], "usage": usage(ask)}


def stream(ask: Ask) -> Iterator[bytes]:
    yield _chunk(ask, {"role": "assistant", "content": ""})
    for word in words(said(ask)):
        yield _chunk(ask, {"content": word})
    for number, call in enumerate(_calls(ask)):
        yield _chunk(ask, {"tool_calls": [{"index": number} | call]})
    yield _chunk(ask, {}, _reason(ask))
    if ask.wants_usage:
        yield sse(_head(ask, "chat.completion.chunk") | {"choices": [], "usage": usage(ask)})
    yield b"data: [DONE]\n\n"


def usage(ask: Ask) -> Json:
    """What the answer reports as consumed: fixed by the request alone."""
    output = tokens(said(ask)) + sum(tokens(call) for call in _calls(ask))
    return {
        "prompt_tokens": ask.prompt.total,
        "prompt_tokens_details": {"cached_tokens": ask.prompt.cache_read},
        "completion_tokens": output,
        "completion_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ask.prompt.total + output,
    }


def sse(data: Json) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _head(ask: Ask, kind: str) -> Json:
    return {"id": f"chatcmpl-standin-{digest(ask)}", "object": kind, "created": 1_767_225_600, "model": ask.model}


def _chunk(ask: Ask, delta: Json, reason: str | None = None) -> bytes:
    return sse(_head(ask, "chat.completion.chunk") | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def _calls(ask: Ask) -> list[Json]:
    return [
        {
            "id": f"call_standin_{digest(ask)}_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.input)},
        }
        for number, call in enumerate(ask.calls)
    ]


def _reason(ask: Ask) -> str:
    return "tool_calls" if ask.calls else "stop"
