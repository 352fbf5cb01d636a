"""The error envelopes that gateways answer with, in events and in whole bodies.

Anthropic, Vercel, OpenRouter: `{"type": "error", "error": {"type", "message"}}`; Edgee, LiteLLM: `{"error": {"type", "code"}}`, the
type null or the code a text; OpenRouter within a stream: `{"error": {"code": 429}}`; Cloudflare: `{"success": false, "error": [{"code"}]}`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.metering.reading import Reading
from sidecar.metering.values import NotJSON, count, decode, member, text

if TYPE_CHECKING:
    from sidecar.wire.sse import Event


#: The error type of a whole JSON body that is no message of its path's protocol.
NOT_A_MESSAGE = "not_a_message"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that the reply speaks of.  `type` is the envelope's type, else its code as text, else None."""

    type: str | None


def failure(value: object) -> Failure | None:
    """The error in one event's data or one body; None if it speaks of none.  `"error": null` is no error."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if not error and value.get("success") is False:
        error = value.get("errors") or value
    if not error:
        return Failure(_type(value, skip="error")) if value.get("type") == "error" else None
    if isinstance(error, list):
        error = error[0] if error else None
    return Failure(_type(error) or (_code(value) if value.get("type") == "error" else None))


def _type(error: object, skip: str | None = None) -> str | None:
    kind = text(member(error, "type"))
    return kind if kind and kind != skip else _code(error)


def _code(error: object) -> str | None:
    code = member(error, "code")
    if isinstance(code, int) and not isinstance(code, bool):
        return str(code)[:20]
    return text(code)


def has_figures(usage: object) -> bool:
    """Whether a usage object reports tokens, by whatever name."""
    return isinstance(usage, dict) and any("token" in str(name).lower() and count(value) is not None for name, value in usage.items())


class ErrorsOnly:
    """The reader of replies without a protocol: it sees that they failed, and whether they report usage that nobody reads."""

    def __init__(self) -> None:
        self._failure: Failure | None = None
        self._has_usage = False

    def event(self, event: Event) -> None:
        # Few events have one of these, and no envelope and no usage does without.
        if b'"error' in event.data or b'"success"' in event.data or b'"usage' in event.data:
            with suppress(NotJSON):
                self.body(decode(event.data))

    def body(self, body: object) -> None:
        self._failure = failure(body) or self._failure
        self._has_usage = self._has_usage or any(has_figures(member(body, name)) for name in ("usage", "usageMetadata"))

    def reading(self) -> Reading:
        found = self._failure
        return Reading(failed=found is not None, error_type=found.type if found else None, is_unmetered=self._has_usage)
