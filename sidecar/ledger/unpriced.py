"""Models that were used and have no price, read from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from sidecar.ledger.columns import TOKENS
from sidecar.ledger.reader import reading

if TYPE_CHECKING:
    import sqlite3


class Unpriced(TypedDict):
    """One model at one gateway.  `tokens` of all kinds wait for a price; `why` is what the newest request was told."""

    model: str | None
    gateway: str
    requests: int
    tokens: int
    first: str
    last: str
    why: str | None


_MODEL = "coalesce(model_served, model_sent, model_requested)"
_SUM = " + ".join(f"coalesce(sum({name}), 0)" for name in TOKENS)
_KNOWN = " OR ".join(f"{name} IS NOT NULL" for name in TOKENS)
# Of hours, which sum several requests up, those count of which none has a price.
_QUESTION = f"""
    SELECT model, gateway, sum(requests) AS requests, sum(tokens) AS tokens, min(first) AS first, max(last) AS last, max(why) AS why FROM (
        SELECT {_MODEL} AS model, gateway, count(*) AS requests, {_SUM} AS tokens, min(started_at) AS first, max(started_at) AS last,
            max(price_source) AS why
        FROM requests WHERE kind = 'inference' AND finished_at IS NOT NULL AND cost_nanousd IS NULL AND ({_KNOWN}) GROUP BY 1, 2
        UNION ALL
        SELECT {_MODEL}, gateway, sum(requests), {_SUM}, min(first), max(last), NULL
        FROM hours WHERE kind = 'inference' AND priced_requests = 0 AND ({_KNOWN}) GROUP BY 1, 2
    ) GROUP BY 1, 2 ORDER BY tokens DESC, model
"""  # noqa: S608 -- names of this package's own


def unpriced(path: str) -> list[Unpriced]:
    """The models without a price, the one with most tokens first.  No ledger is an empty one."""
    with reading(path) as connection:
        rows: list[sqlite3.Row] = connection.execute(_QUESTION).fetchall()
    return [Unpriced(**dict(row)) for row in rows]  # type: ignore[typeddict-item]
