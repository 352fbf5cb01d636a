"""Model maps that could not be applied: the gateway gets the agent's own name for the model, and the log says why, once for each session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from sidecar.wire.fields import is_coded

if TYPE_CHECKING:
    from sidecar.gateways.route import Route
    from sidecar.wire.fields import ByName

log = structlog.get_logger("sidecar.exchange")

#: Sessions that are remembered.
_MOST_SESSIONS = 1024


def unmapped(wanted: Route, sent: Route, named: ByName) -> str | None:
    """Why the gateway's name for the model is not in the body that goes out; None if it is, or if the gateway has no names of its own."""
    gateway = wanted.gateway
    if wanted.model_sent != sent.model_sent:
        return "the body is not one valid JSON object with one model"
    if (gateway.model_rules or gateway.model_form) and is_coded(named):
        return "the body is compressed"
    return None


class Unmapped:
    """Remembers which sessions have been told of."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, str], None] = {}

    def tell(self, session: str, gateway: str, why: str) -> None:
        key = session, gateway, why
        if key in self._told:
            return
        if len(self._told) >= _MOST_SESSIONS:
            self._told.clear()
        self._told[key] = None
        log.warning("model.unmapped", session=session, gateway=gateway, why=why)
