"""One free request that shows whether a gateway takes a key.  `sidecar login` asks it.

A token count, which no gateway answers without a key; or what the preset names under `check`.  Nothing is generated, and nothing is billed.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from sidecar import __version__
from sidecar.config.scalars import TEMPLATE_NAMES
from sidecar.gateways.headers import Outgoing
from sidecar.gateways.models import sent_model
from sidecar.gateways.presets import Preset, presets
from sidecar.limits import limited
from sidecar.proxy.upstream import Upstream
from sidecar.wire.fields import by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidecar.gateways.gateway import Gateway

SECONDS = 15.0
_COUNT = "/v1/messages/count_tokens"
_MODEL = "claude-haiku-4-5"


class Verdict(StrEnum):
    TAKEN = "taken"
    REFUSED = "refused"
    UNCLEAR = "unclear"


def verdict(status: int) -> Verdict:
    """Only a 401 says that the key is wrong: a 403 may mean this request alone, a 404 that the gateway does not know it."""
    if status == 401:
        return Verdict.REFUSED
    return Verdict.TAKEN if 200 <= status < 300 else Verdict.UNCLEAR


def question(gateway: Gateway) -> tuple[str, str, bytes | None]:
    """Method, target below the base URL, and body."""
    preset = presets().get(gateway.preset or "", Preset())
    method, path, body = "GET", preset.check, None
    if path is None:
        method, path = "POST", _COUNT
        body = msgspec.json.encode({"model": sent_model(_MODEL, gateway), "messages": [{"role": "user", "content": "hi"}]})
    return method, (gateway.paths or {}).get(path, path), body


async def ask(gateway: Gateway, key: str, secrets: Mapping[str, str], variable: Callable[[str], str | None]) -> int:
    """The status of the gateway's answer.  Raises `Refusal` if there is none, and TimeoutError after `SECONDS`."""
    method, target, body = question(gateway)
    fields = [(b"user-agent", f"sidecar/{__version__}".encode()), (b"accept", b"application/json"), (b"anthropic-version", b"2023-06-01")]
    if body is not None:
        fields.append((b"content-type", b"application/json"))
    outgoing = Outgoing(fields, by_name(fields), gateway, dict.fromkeys(TEMPLATE_NAMES, ""))
    upstream = Upstream(variable)
    try:
        async with limited(SECONDS):
            pieces = None if body is None else (body,)
            filled = outgoing.filled(key, secrets, None if body is None else len(body))
            reply = await upstream.send(gateway, method, target, filled, pieces, SECONDS)
            try:
                return (await reply.head(None)).status
            finally:
                reply.close()
    finally:
        upstream.close()
        await asyncio.sleep(0)  # the transports close in the loop's next round
