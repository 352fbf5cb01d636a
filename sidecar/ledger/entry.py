"""A request as the ledger keeps it: what is known when it goes out, and what is known when it has ended."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from sidecar.metering.reading import Reading
from sidecar.wire.target import Kind

if TYPE_CHECKING:
    from sidecar.ledger.row import Row
    from sidecar.pricing.terms import Terms

__all__ = ["Closing", "Ending", "Kind", "Opening"]


class Ending(StrEnum):
    """How the connections ended, whatever the reply said."""

    CLEAN = "clean"  # the gateway's reply came to the end of its HTTP message
    CUT = "cut"  # the gateway broke off, before or in its reply
    CLIENT_GONE = "client_gone"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # no connection was made


class Opening(msgspec.Struct, frozen=True, gc=False):
    """Known when the request goes out: its `row`, which is the ledger's own from then on, and what of it budgets and prices need in
    another form.  `started_at` in seconds since the epoch.
    """

    row: Row
    started_at: float
    kind: Kind
    tags: tuple[str, ...]
    terms: Terms


class Closing(msgspec.Struct, frozen=True, gc=False):
    """Known when it has ended.  `own_error` is one of `errors.ANSWERS` if the sidecar itself answered; `status` what the client got
    from the gateway, None if the gateway sent none.  Times in milliseconds.
    """

    id: str
    finished_at: float
    ending: Ending
    status: int | None
    own_error: str | None
    bytes_in: int
    bytes_out: int
    first_byte_ms: float | None
    duration_ms: float
    request_id: str | None = None
    cache_status: str | None = None
    header_cost_usd: float | None = None
    reading: Reading = Reading()
