"""What goes into the computation of a cost, and what comes out.  Values only, apart from `cost.py`, which takes long to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from sidecar.metering.reading import Usage


class Billed(msgspec.Struct, frozen=True, gc=False):
    """What of one exchange decides its cost, as the ledger's row has it.  `at` in whole seconds; `iterations` is JSON text,
    `not_billed` the reason why it cannot have cost anything.
    """

    usage: Usage
    model: str | None
    at: datetime
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: str | None = None
    cache_status: str | None = None
    stop_reason: str | None = None
    not_billed: str | None = None


class Cost(NamedTuple):
    """`nanousd` None: unknown.  `source` names the table and the model matched, or says why none was."""

    nanousd: int | None
    source: str
