"""How the stand-in can be made to misbehave: a word in the model name or in what the user said last.  Pure; one table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`first_byte` and `between` are seconds before the reply and between its events, whatever the pace; None: by the pace.

    `halfway`: what happens in the middle of a stream.  `error` and `page` take the place of an answer.
    """

    first_byte: float | None = None
    between: float | None = None
    halfway: Literal["cut", "end", "error"] | None = None
    gzip: bool = False
    error: int | None = None
    page: bool = False


BEHAVIOURS: dict[str, Behaviour] = {
    "slow-start": Behaviour(first_byte=12.0),  # silence, then an ordinary answer
    "slow-stream": Behaviour(between=0.25),  # four words a second
    "cut-stream": Behaviour(halfway="cut"),  # the connection breaks
    "end-early": Behaviour(halfway="end"),  # a polite end, but nothing after the middle
    "error-event": Behaviour(halfway="error"),  # an `error` event under status 200
    "gzip-reply": Behaviour(gzip=True),  # compressed, flushed after every event
    "html-page": Behaviour(page=True),  # 403 and a page, as from a firewall
}

#: `error-529` and the like: an error with that status.
_ERROR = re.compile(r"\berror-([45]\d\d)\b")

ERROR_TYPES: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def behaviour(model: str, text: str) -> Behaviour:
    """The first word of the table that occurs; without one, the ordinary."""
    words = f"{model} {text}"
    if error := _ERROR.search(words):
        return Behaviour(error=int(error[1]))
    return next((found for word, found in BEHAVIOURS.items() if word in words), Behaviour())


def openai_envelope(status: int, message: str) -> dict[str, object]:
    """An error as OpenAI's two formats word it."""
    return {"error": {"message": message, "type": ERROR_TYPES.get(status, "server_error"), "param": None, "code": None}}


def envelope(status: int, message: str, request_id: str) -> dict[str, object]:
    """An error as the Messages API words it."""
    error = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
    return {"type": "error", "error": error, "request_id": request_id}
