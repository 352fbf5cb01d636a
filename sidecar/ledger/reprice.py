"""Costs computed anew from the tokens, with today's table and terms, each at the prices of its own moment.

Works beside a running daemon: rows are read and priced without a lock, then written in short transactions.  Rows that have been
summed up by hour keep their cost: what decided it is gone.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from sidecar.clock import moment
from sidecar.errors import SidecarError
from sidecar.launch.places import PRICES_FILE
from sidecar.ledger.row import COLUMNS, Row, billed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sidecar.pricing.terms import Terms

#: Rows in one transaction: some ten milliseconds.
AT_ONCE = 500
#: How long to wait for the daemon's own transactions, which take milliseconds.
_BUSY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Repriced:
    """`changed` of `requests` have another cost or another source now; `unpriced` have no price."""

    requests: int = 0
    changed: int = 0
    unpriced: int = 0
    before_nanousd: int = 0
    after_nanousd: int = 0


def reprice(
    path: str,
    terms: Callable[[str], Terms],
    since: datetime | None = None,
    until: datetime | None = None,
    session: str | None = None,
    gateway: str | None = None,
) -> Repriced:
    """`terms` says on which terms a gateway, by its name, sells.  Raises SidecarError."""
    if not os.path.exists(path):
        return Repriced()
    # Here, not above: the import takes 200 ms.
    from sidecar.pricing import table  # noqa: PLC0415
    from sidecar.pricing.cost import cost  # noqa: PLC0415

    table.follow(os.path.join(os.path.dirname(path), PRICES_FILE))
    given = {f"{name} = ?": value for name, value in (("session", session), ("gateway", gateway)) if value is not None}
    given |= {f"started_at {sign} ?": moment(when.timestamp()) for sign, when in ((">=", since), ("<", until)) if when is not None}
    totals = [0, 0, 0, 0, 0]
    try:
        with closing(_connect(path)) as connection:
            for rows in _batches(connection, given):
                changes = []
                for row in rows:
                    found = cost(billed(_known(row)), terms(row["gateway"]))
                    is_other = (found.nanousd, found.source) != (row["cost_nanousd"], row["price_source"])
                    if is_other:
                        changes.append((found.nanousd, found.source, row["id"]))
                    counted = (1, is_other, found.nanousd is None, row["cost_nanousd"] or 0, found.nanousd or 0)
                    totals = [total + more for total, more in zip(totals, counted, strict=True)]
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("UPDATE requests SET cost_nanousd = ?, price_source = ? WHERE id = ?", changes)
                connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise SidecarError(f"the ledger {path} cannot be priced anew: {error}", "see: sidecar doctor") from error
    return Repriced(*totals)


def _connect(path: str) -> sqlite3.Connection:
    """For writing, but never creating or migrating: the ledger may be a daemon's of another version."""
    address = "/" + os.path.abspath(path).replace(os.sep, "/").lstrip("/")
    connection = sqlite3.connect(f"file://{quote(address)}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
    connection.row_factory = sqlite3.Row
    return connection


def _known(row: sqlite3.Row) -> Row:
    """What this version knows of it."""
    return Row(**{name: row[name] for name in row.keys() if name in COLUMNS})  # noqa: SIM118 -- a row is iterated by its values


def _batches(connection: sqlite3.Connection, given: dict[str, str]) -> Iterator[list[sqlite3.Row]]:
    tests = " AND ".join(("kind = 'inference'", "finished_at IS NOT NULL", "id > ?", *given))
    last = ""
    while True:
        rows = connection.execute(
            f"SELECT * FROM requests WHERE {tests} ORDER BY id LIMIT {AT_ONCE}",  # noqa: S608 -- this module's own text
            (last, *given.values()),
        ).fetchall()
        if not rows:
            return
        yield rows
        last = rows[-1]["id"]
