"""What the proxy hands to the ledger about a request: an `Opening` when it goes out, a `Closing` when it has ended."""

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
    """What is known when the request goes out.  The ledger owns `row` from then on; the other fields repeat parts of it in the form that
    budgets and prices need.  `started_at` is in seconds since the epoch.
    """

    row: Row
    started_at: float
    kind: Kind
    tags: tuple[str, ...]
    terms: Terms


class Closing(msgspec.Struct, frozen=True, gc=False):
    """What is known when the request has ended.

    `own_error` is one of `errors.ANSWERS` if the sidecar itself answered.  `status` is the gateway's, None if it sent none.
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
