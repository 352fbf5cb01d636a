"""Gateways that refused the key or could not be reached, each from the first failure until the next success.

An agent shows neither well: Claude Code answers a 401 with "Please run /login", and an unreachable gateway with "Retrying".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.errors import Refusal
    from sidecar.gateways.gateway import Gateway

_REFUSED = 401
_NOT_REACHED = frozenset({"unreachable", "timeout_connect"})


class Trouble(NamedTuple):
    """`kind` is `refused` or `unreachable`; `at` is when it began, in epoch seconds.  `why` is the sidecar's own message."""

    gateway: str
    kind: str
    at: float
    status: int | None
    why: str
    beside: bool


class Troubles:
    """Kept in memory by the daemon."""

    def __init__(self) -> None:
        self._known: dict[str, Trouble] = {}

    def __iter__(self) -> Iterator[Trouble]:
        return iter(list(self._known.values()))

    def of(self, gateway: str) -> Trouble | None:
        return self._known.get(gateway)

    def answered(self, gateway: Gateway, status: int) -> None:
        """The gateway answered: it is reachable, and has taken the key unless it says otherwise."""
        if status != _REFUSED:
            if self._known:
                self._known.pop(gateway.name, None)
            return
        known = self._known.get(gateway.name)
        if known is None or known.kind != "refused":
            self._known[gateway.name] = Trouble(gateway.name, "refused", time.time(), status, "", gateway.beside)

    def failed(self, gateway: Gateway, refusal: Refusal) -> None:
        """The sidecar could not do its part.  Only a gateway that was not reached is in trouble."""
        known = self._known.get(gateway.name)
        if refusal.code in _NOT_REACHED and (known is None or known.kind != "unreachable"):
            self._known[gateway.name] = Trouble(gateway.name, "unreachable", time.time(), None, refusal.message, gateway.beside)

    def forget(self, gateway: str | None) -> None:
        """Another key may have been stored: of this gateway, or of any."""
        for name in [gateway] if gateway is not None else list(self._known):
            if (known := self._known.get(name)) is not None and known.kind == "refused":
                del self._known[name]
