"""The stand-in's answer to an `Ask`, in the words of the Messages API: one message, and the same as stream events.  Pure.

The events are those of the Messages API: https://docs.claude.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from sidecar.demo.ask import Json, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.demo.ask import Ask

_CLIP = 300
_WORD = re.compile(r"\S+\s*|\s+")
_WORDS_PER_PING = 20


def message(ask: Ask) -> Json:
    """The whole answer, as a request without `stream` gets it."""
    content = _content(ask)
    return {
        "id": f"msg_standin_{digest(ask)}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": "tool_use" if ask.calls else "end_turn",
        "stop_sequence": None,
        "usage": usage(ask),
    }


def usage(ask: Ask) -> Json:
    """What the answer reports as consumed: fixed by the request alone."""
    content = _content(ask)
    prompt = ask.prompt
    return {
        "input_tokens": prompt.fresh,
        "cache_read_input_tokens": prompt.cache_read,
        "cache_creation_input_tokens": prompt.cache_write_5m + prompt.cache_write_1h,
        "cache_creation": {"ephemeral_5m_input_tokens": prompt.cache_write_5m, "ephemeral_1h_input_tokens": prompt.cache_write_1h},
        "output_tokens": sum(tokens(block) for block in content),
        "output_tokens_details": {"thinking_tokens": sum(tokens(block) for block in content if block["type"] == "thinking")},
        "service_tier": "standard",
    }


def events(ask: Ask) -> Iterator[Json]:
    """The answer as a stream.  The event's name is its `type`."""
    whole = message(ask)
    final = usage(ask)
    yield {
        "type": "message_start",
        "message": whole | {"content": [], "stop_reason": None, "usage": final | {"output_tokens": 1, "output_tokens_details": None}},
    }
    yield {"type": "ping"}
    for index, block in enumerate(_content(ask)):
        yield {"type": "content_block_start", "index": index, "content_block": _opening(block)}
        for count, delta in enumerate(_deltas(block), start=1):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            if count % _WORDS_PER_PING == 0:
                yield {"type": "ping"}
        yield {"type": "content_block_stop", "index": index}
    # As the real API does: cumulative numbers, and no cache_creation split in the delta.
    totals = {name: final[name] for name in final if name not in {"cache_creation", "service_tier"}}
    yield {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None}, "usage": totals}
    yield {"type": "message_stop"}


def said(ask: Ask) -> str:
    """The answer's text."""
    if ask.calls:
        return "Let me use a tool for that."
    if ask.tool_results is not None:
        return f"The tool said: “{ask.tool_results[:_CLIP]}”."
    return (
        f"You said: “{ask.text[:_CLIP]}”. I am a stand-in for a gateway: no model, no account, no network. I only know "
        "how to speak its language: words as they come, pings in between, and a count of the tokens at the end."
    )


def words(text: str) -> list[str]:
    """A stream's pieces of a text."""
    return _WORD.findall(text)


def digest(ask: Ask) -> str:
    return hashlib.sha256(repr(ask).encode()).hexdigest()[:16]


def _content(ask: Ask) -> list[Json]:
    content: list[Json] = []
    if ask.thinks:
        content.append({"type": "thinking", "thinking": "They said something. I shall quote it.", "signature": "c3RhbmQtaW4="})
    content.append({"type": "text", "text": said(ask)})
    return content + [
        {"type": "tool_use", "id": f"toolu_standin_{digest(ask)}_{number}", "name": call.name, "input": call.input}
        for number, call in enumerate(ask.calls)
    ]


def _opening(block: Json) -> Json:
    match block["type"]:
        case "thinking":
            return block | {"thinking": "", "signature": ""}
        case "tool_use":
            return block | {"input": {}}
        case _:
            return block | {"text": ""}


def _deltas(block: Json) -> Iterator[Json]:
    match block["type"]:
        case "thinking":
            for word in words(str(block["thinking"])):
                yield {"type": "thinking_delta", "thinking": word}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            for part in words(json.dumps(block["input"])):
                yield {"type": "input_json_delta", "partial_json": part}
        case _:
            for word in words(str(block["text"])):
                yield {"type": "text_delta", "text": word}
