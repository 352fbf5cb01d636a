"""Where a request goes: which gateway, which address there, which model.  Pure; what cannot be answered is a named refusal."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import Refusal
from sidecar.gateways.models import sent_model
from sidecar.launch.names import no_gateway
from sidecar.wire.body import splice
from sidecar.wire.fields import every

if TYPE_CHECKING:
    from sidecar.config.settings import Settings
    from sidecar.gateways.gateway import Gateway
    from sidecar.sessions.session import Caller
    from sidecar.wire.body import Body, Pieces
    from sidecar.wire.fields import ByName
    from sidecar.wire.target import Kind, Target


class Route(NamedTuple):
    """`target` is the request target below the gateway's base URL, `model_sent` the gateway's own name for the model."""

    gateway: Gateway
    kind: Kind
    target: str
    model_requested: str | None
    model_sent: str | None
    billing: str


def route(settings: Settings, caller: Caller, method: str, target: Target, fields: ByName, model: str | None) -> Route:
    """Raises `Refusal`: `unknown_gateway`, `forbidden_path` or `subscription_login`."""
    gateway = _gateway(settings, caller)
    _check_path(gateway, target)
    subscription = is_subscription(fields)
    if subscription and not gateway.beside:
        raise Refusal(
            "subscription_login",
            f"this request carries a claude.ai login, and gateway {gateway.name!r} would bill it by the token",
            f"start the agent with: sidecar run -g {gateway.name}, or set `beside: true` if the gateway takes the login along",
        )
    return Route(
        gateway=gateway,
        kind=target.kind(method),
        target=target.at("", gateway.paths or {}),
        model_requested=model,
        model_sent=None if model is None else sent_model(model, gateway),
        billing="subscription" if subscription else "metered",
    )


def mapped(there: Route, body: Body | None) -> tuple[Route, Pieces | None]:
    """The body with the gateway's own name for the model; both as they came where that cannot be put in for certain."""
    if body is None:
        return there, None
    if there.model_sent is None or there.model_sent == there.model_requested:
        return there, (body,)
    spliced = splice(body, there.model_sent)
    return (there._replace(model_sent=there.model_requested), (body,)) if spliced is None else (there, spliced)


def is_subscription(fields: ByName) -> bool:
    """True for a claude.ai OAuth login: its bearer's prefix, or the capability Claude Code sends along with it."""
    for value in every(fields, b"authorization"):
        if value.partition(b" ")[2].strip().startswith(b"sk-ant-oat"):
            return True
    return any(b"oauth-2025-04-20" in [piece.strip() for piece in value.split(b",")] for value in every(fields, b"anthropic-beta"))


def _gateway(settings: Settings, caller: Caller) -> Gateway:
    name = caller.gateway or settings.gateway
    try:
        return settings.gateways[name]
    except KeyError:
        by = "this agent's pass is pinned to it" if caller.is_pinned else "asked for by x-sidecar-gateway"
        raise Refusal("unknown_gateway", *no_gateway(name, settings.gateways, by)) from None


def _check_path(gateway: Gateway, target: Target) -> None:
    if not gateway.only:
        return
    # A server that resolves dot segments would read /v1/../keys as another path than the one matched here.
    if target.climbs or not any(fnmatchcase(target.path, pattern) for pattern in gateway.only):
        raise Refusal(
            "forbidden_path",
            f"gateway {gateway.name!r} is not asked for {target.path[:80]!r}",
            f"`only:` in its configuration allows {', '.join(gateway.only)}",
        )
