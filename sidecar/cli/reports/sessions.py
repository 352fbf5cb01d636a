"""Sessions as `usage`, `status` and `top` list them."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sidecar.launch.figures import count, total_cost
from sidecar.ledger.reports import report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, object]

#: Names that nobody chose: a UUID, a random number.  Their beginning is enough for a table, and for `usage --session`.
_RANDOM = re.compile(r"[0-9a-f-]{16,}")
_SHORT = 8


def of_the_last_hour(ledger: str) -> list[Row]:
    """Rows of `report`, the newest last.  Raises SidecarError if the ledger cannot be read."""
    return report(ledger, since=datetime.now().astimezone() - timedelta(hours=1))["rows"]


def columns(rows: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """The short table of `rows`; `NUMBERS` and `DISPENSABLE` belong to it."""
    return {
        "session": short_names(rows),
        "last": moment("last"),
        "project": listed("projects"),
        "gateway": listed("gateways"),
        "requests": lambda row: count(row["requests"]),
        "cost": total_cost,
    }


NUMBERS = frozenset({"last", "requests", "cost"})
DISPENSABLE = ("requests", "project", "last")


def short_names(rows: Sequence[Row]) -> Callable[[Row], str]:
    """On a terminal, names that nobody chose by as much of their beginning as tells them apart; elsewhere there is room for all of it."""
    names = sorted({str(row["key"]) for row in rows})
    neighbours = {name: [*names[max(at - 1, 0) : at], *names[at + 1 : at + 2]] for at, name in enumerate(names)}

    def short(row: Row) -> str:
        name = str(row["key"])
        if not sys.stdout.isatty() or not _RANDOM.fullmatch(name):
            return name
        lengths = range(_SHORT, len(name) + 1)
        return name[: next(length for length in lengths if not any(other.startswith(name[:length]) for other in neighbours[name]))]

    return short


def moment(name: str) -> Callable[[Row], str]:
    """The column's time by the clock on the wall: `11-27 14:36`."""
    return lambda row: f"{datetime.fromisoformat(str(row[name])).astimezone():%m-%d %H:%M}"


def listed(name: str) -> Callable[[Row], str]:
    def listed(row: Row) -> str:
        values = row[name]
        return ", ".join(values) if isinstance(values, list) and values else "\N{EN DASH}"

    return listed
