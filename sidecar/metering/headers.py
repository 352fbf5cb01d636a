"""What a reply's header fields say beside its body: the gateway's id of the request, its own cache, its own cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.metering.values import dollars, text

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The first one present wins.  Anthropic; most others; OpenRouter; LiteLLM; Vercel; Portkey; Helicone; Cloudflare; Vercel's edge.
_REQUEST_ID = (
    "request-id",
    "x-request-id",
    "x-generation-id",
    "x-litellm-call-id",
    "x-gateway-request-id",
    "x-portkey-trace-id",
    "helicone-id",
    "cf-aig-log-id",
    "x-vercel-id",
)
#: Portkey, Helicone, Cloudflare.  A hit means that no tokens were bought.
_CACHE_STATUS = ("x-portkey-cache-status", "helicone-cache", "cf-aig-cache-status")
#: LiteLLM.  Not sent with most streams: the header goes out before the cost is known.
_COST = ("x-litellm-response-cost",)


def reply_facts(fields: Iterable[tuple[str, str]]) -> tuple[str | None, str | None, float | None]:
    """Request id, cache status, cost in dollars; each None if the gateway does not say."""
    values: dict[str, str] = {}
    for name, value in fields:
        values.setdefault(name.lower(), value.strip())
    return _first(values, _REQUEST_ID), _first(values, _CACHE_STATUS), _dollars(_first(values, _COST))


def _first(values: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := text(values.get(name)))), None)


def _dollars(value: str | None) -> float | None:
    try:
        return None if value is None else dollars(float(value))
    except ValueError:
        return None
