"""The sidecar's own answers, in Anthropic's envelope: what agents show to a person instead of "something went wrong"."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from sidecar.errors import Refusal

#: Seconds.  Codex and opencode sleep a `retry-after` out in silence, so it stays this short.
RETRY_AFTER = "1"


def refused(refusal: Refusal) -> web.Response:
    headers = {"x-sidecar-error": refusal.code}
    if refusal.retry is False:
        headers["x-should-retry"] = "false"
    if refusal.code == "draining":
        headers["retry-after"] = RETRY_AFTER
    error = {"type": refusal.type, "message": f"sidecar: {refusal}"}
    return answer({"type": "error", "error": error}, status=refusal.status, headers=headers)


def answer(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=json.dumps(value, ensure_ascii=False).encode(), status=status, headers=headers, content_type="application/json"
    )
