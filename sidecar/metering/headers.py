"""What a reply's header fields say beside its body: the gateway's id of the request, its own cache, its own cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.metering.values import dollars, text
from sidecar.wire import fields

if TYPE_CHECKING:
    from sidecar.wire.fields import ByName

#: The first one present wins.  Anthropic; most others; OpenRouter; LiteLLM; Vercel; Portkey; Helicone; Cloudflare; Vercel's edge.
_REQUEST_ID = (
    b"request-id",
    b"x-request-id",
    b"x-generation-id",
    b"x-litellm-call-id",
    b"x-gateway-request-id",
    b"x-portkey-trace-id",
    b"helicone-id",
    b"cf-aig-log-id",
    b"x-vercel-id",
)
#: Portkey, Helicone, Cloudflare.  A hit means that no tokens were bought.
_CACHE_STATUS = (b"x-portkey-cache-status", b"helicone-cache", b"cf-aig-cache-status")
#: LiteLLM.  Not sent with most streams: the header goes out before the cost is known.
_COST = (b"x-litellm-response-cost",)


def reply_facts(named: ByName) -> tuple[str | None, str | None, float | None]:
    """Request id, cache status, cost in dollars, from the fields by name; each None if the gateway does not say."""
    return _first(named, _REQUEST_ID), _first(named, _CACHE_STATUS), _dollars(_first(named, _COST))


def _first(named: ByName, names: tuple[bytes, ...]) -> str | None:
    for name in names:
        if name in named and (found := text(fields.text(named[name][0]).strip())):
            return found
    return None


def _dollars(value: str | None) -> float | None:
    try:
        return None if value is None else dollars(float(value))
    except ValueError:
        return None
