"""The sidecar's own answers to agents.  Errors are in Anthropic's envelope: what agents show to a person instead of "something went wrong"."""

from __future__ import annotations

import json
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from sidecar.proxy.answer import Answer

if TYPE_CHECKING:
    from sidecar.errors import Refusal
    from sidecar.wire.fields import Field

#: Seconds.  Codex and opencode sleep a `retry-after` out in silence, so it stays this short.
RETRY_AFTER = b"1"


def refused(refusal: Refusal) -> Answer:
    fields = [(b"x-sidecar-error", refusal.code.encode())]
    if refusal.retry is False:
        fields.append((b"x-should-retry", b"false"))
    if refusal.code == "draining":
        fields.append((b"retry-after", RETRY_AFTER))
    error = {"type": refusal.type, "message": f"sidecar: {refusal}"}
    body = json.dumps({"type": "error", "error": error}, ensure_ascii=False).encode()
    fields += [(b"Content-Type", b"application/json; charset=utf-8"), (b"Content-Length", b"%d" % len(body))]
    return _dated(refusal.status, fields, body)


def no_content() -> Answer:
    return _dated(204, [], b"")


def _dated(status: int, fields: list[Field], body: bytes) -> Answer:
    """An origin server owes a date (RFC 9110 section 6.6.1)."""
    return Answer(status, HTTPStatus(status).phrase.encode(), [*fields, (b"Date", formatdate(usegmt=True).encode())], body)
