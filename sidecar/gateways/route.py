"""Where a request goes: which gateway, which address there, which model.  Pure; what cannot be answered is a named refusal."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import Refusal
from sidecar.gateways.models import sent_model
from sidecar.launch.names import no_gateway
from sidecar.wire.body import splice
from sidecar.wire.fields import every
from sidecar.wire.target import Kind

if TYPE_CHECKING:
    from sidecar.config.settings import Settings
    from sidecar.gateways.gateway import Gateway
    from sidecar.sessions.session import Caller
    from sidecar.wire.body import Body, Pieces
    from sidecar.wire.fields import ByName
    from sidecar.wire.target import Call, Protocol, Target


class Route(NamedTuple):
    """`target` is the request target below the gateway's base URL, `model_sent` the gateway's own name for the model.

    `protocol` is that of the reply if it is metered.
    """

    gateway: Gateway
    kind: Kind
    protocol: Protocol | None
    target: str
    model_requested: str | None
    model_sent: str | None
    billing: str


def route(settings: Settings, caller: Caller, call: Call, target: Target, fields: ByName, model: str | None) -> Route:
    """Raises `Refusal`: `unknown_gateway`, `forbidden_path` or `subscription_login`."""
    gateway = _gateway(settings, caller)
    _check_path(gateway, target, call, has_budgets=bool(settings.budgets))
    subscription = is_subscription(fields)
    if subscription and not gateway.beside:
        raise Refusal(
            "subscription_login",
            f"this request carries a claude.ai login, and gateway {gateway.name!r} would bill it by the token",
            f"start the agent with: sidecar run -g {gateway.name}, or set `beside: true` if the gateway takes the login along",
        )
    return Route(
        gateway=gateway,
        kind=call.kind,
        protocol=call.protocol,
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


def _check_path(gateway: Gateway, target: Target, call: Call, *, has_budgets: bool) -> None:
    """Decides on the path as servers read it.  One that they read in different ways is refused where it matters which they choose."""
    depends = [
        *(["`only:`"] if gateway.only else []),
        *(["`paths:`"] if gateway.paths else []),
        *(["a budget"] if has_budgets and call.kind is Kind.INFERENCE else []),
    ]
    if depends and target.is_ambiguous:
        raise Refusal(
            "forbidden_path",
            f"servers read the path {target.path[:80]!r} in different ways, and {' and '.join(depends)} of gateway {gateway.name!r} depends on it",
            f"spell it {target.usual[:80]}",
        )
    if gateway.only and not any(fnmatchcase(target.usual, pattern) for pattern in gateway.only):
        raise Refusal(
            "forbidden_path",
            f"gateway {gateway.name!r} is not asked for {target.path[:80]!r}",
            f"`only:` in its configuration allows {', '.join(gateway.only)}",
        )
