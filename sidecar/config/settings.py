"""What is in force: the configuration after defaults, presets and checks.  Values only; `load.py` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.pricing.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.budgets.budget import Budget
    from sidecar.gateways.gateway import Gateway
    from sidecar.pricing.terms import ModelRates

DEFAULT_PORT = 4180


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; None is no limit.  `first_byte` counts from the last request byte, `idle` from the last reply byte."""

    connect: float | None = 10.0
    first_byte: float | None = None
    idle: float | None = None
    drain: float | None = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One whole configuration.

    `path` is the file it came from, None when there is none.  `port` None means: 4180, or the next free one, remembered.
    `gateways` holds the user's and every preset that needs nothing but a key; `gateway` names the active one, `configured` those
    of the file.  `prices` are those of models; what a gateway charges in all is in its `terms`.
    `variables` are the names of all environment variables this configuration reads (credentials, proxies, CA files).
    """

    gateways: Mapping[str, Gateway]
    gateway: str = "anthropic"
    configured: tuple[str, ...] = ()
    path: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    allow_remote: bool = False
    hosts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    prices: tuple[ModelRates, ...] = ()
    budgets: tuple[Budget, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    body_limit: int = 32 * 1024 * 1024
    ledger_keep_seconds: float | None = 365 * 86400.0
    log_level: str = "info"
    variables: tuple[str, ...] = ()

    def terms(self, gateway: str) -> Terms:
        """On which terms a gateway sells; one that is configured no more, at the list's prices."""
        return self.gateways[gateway].terms if gateway in self.gateways else Terms(models=self.prices)
