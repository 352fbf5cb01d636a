"""The three formats that the stand-in speaks, told by the ends of paths.  Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.demo import answer, ask, chat, responses
from sidecar.demo.behaviour import envelope, openai_envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidecar.demo.ask import Ask, Json


@dataclass(frozen=True, slots=True)
class Format:
    """How a request is read (ValueError: it is none), and its answer written: whole, as a stream, as an error (status, message, the
    request's id), and as the error in the middle of a stream.
    """

    read: Callable[[bytes], Ask]
    whole: Callable[[Ask], Json]
    stream: Callable[[Ask], Iterator[bytes]]
    error: Callable[[int, str, str], Json]
    broken: Callable[[str], bytes]


def _event(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


MESSAGES = Format(
    read=ask.read,
    whole=answer.message,
    stream=lambda asked: map(_event, answer.events(asked)),
    error=envelope,
    broken=lambda request_id: _event(envelope(529, "Overloaded", request_id)),
)
CHAT = Format(
    read=chat.read,
    whole=chat.completion,
    stream=chat.stream,
    error=lambda status, message, _: openai_envelope(status, message),
    broken=lambda _: chat.sse(openai_envelope(503, "Overloaded")),
)
RESPONSES = Format(
    read=responses.read,
    whole=responses.response,
    stream=lambda asked: map(_event, responses.events(asked)),
    error=lambda status, message, _: openai_envelope(status, message),
    broken=lambda _: _event(responses.failed("Overloaded")),
)

_BY_END = {"/messages": MESSAGES, "/messages/count_tokens": MESSAGES, "/chat/completions": CHAT, "/responses": RESPONSES}


def format_of(path: str) -> Format | None:
    return next((form for end, form in _BY_END.items() if path.endswith(end)), None)
