"""Questions to the ledger, read-only, over a connection of their own: they work with the daemon down.

Sums are over `inference` requests.  A sum of nothing but unknowns is unknown, None; a cost is the sum of what has a price, with the
number of requests that have none beside it.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, TypedDict

from sidecar.errors import SidecarError
from sidecar.ledger.reader import connect
from sidecar.ledger.row import moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: What `--by` can say, as SQL over a row; a tag counts in every row that carries it.
KEYS = {
    "session": "session",
    "model": "coalesce(model_served, model_sent, model_requested)",
    "gateway": "gateway",
    "tag": "tag.value",
    "agent": "agent",
    "project": "project",
    "repo": "repo",
    "branch": "branch",
    "client": "client",
    "day": "strftime('%Y-%m-%d', started_at, 'localtime')",
    "hour": "strftime('%Y-%m-%dT%H:00', started_at, 'localtime')",
}

_SUMS = """
    coalesce(sum(requests), 0) AS requests,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cache_read_tokens) AS cache_read_tokens,
    sum(cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(cost_nanousd) / 1e9 AS cost_usd,
    coalesce(sum(requests - priced_requests), 0) AS unpriced_requests,
    coalesce(sum(requests) FILTER (WHERE outcome NOT IN ('complete', 'client_cancelled')), 0) AS errors,
    min(first) AS first,
    max(last) AS last
"""


class Report(TypedDict):
    """As it is printed: times are UTC texts, None where there is no limit."""

    by: str
    since: str | None
    until: str | None
    rows: list[Mapping[str, object]]
    total: Mapping[str, object]


def report(
    path: str,
    by: str = "session",
    since: datetime | None = None,
    until: datetime | None = None,
    session: str | None = None,
    gateway: str | None = None,
) -> Report:
    """What was used from `since` up to, not including, `until`.

    With `by` "request" the rows are the ledger's own, of every kind, oldest first.  No ledger is an empty one.
    """
    period = {name: moment(when.timestamp()) if when else None for name, when in (("since", since), ("until", until))}
    given = {**period, "session": session, "gateway": gateway}
    where = " AND ".join(
        ["1"]
        + [
            test
            for name, test in {
                "since": "started_at >= :since",
                "until": "started_at < :until",
                "session": "session = :session",
                "gateway": "gateway = :gateway",
            }.items()
            if given[name] is not None
        ]
    )
    inference = f"{where} AND kind = 'inference'"
    if by == "request":
        query = f"SELECT * FROM requests WHERE {where} ORDER BY started_at, id"  # noqa: S608 -- made of this module's own text
    else:
        tags = "LEFT JOIN json_each(tags) AS tag" if by == "tag" else ""
        query = f"SELECT {KEYS[by]} AS key, {_SUMS} FROM used {tags} WHERE {inference} GROUP BY 1 ORDER BY first, key"  # noqa: S608 -- see above
    try:
        with closing(connect(path)) as connection:
            rows: list[Mapping[str, object]] = [_readable(row) for row in connection.execute(query, given)]
            total = dict(connection.execute(f"SELECT {_SUMS} FROM used WHERE {inference}", given).fetchone())  # noqa: S608 -- see above
    except sqlite3.Error as error:
        raise SidecarError(f"the ledger {path} cannot be read: {error}", "see: sidecar doctor") from error
    return Report(by=by, since=period["since"], until=period["until"], rows=rows, total=total)


def _readable(row: sqlite3.Row) -> dict[str, object]:
    """What SQLite has no type for."""
    values: dict[str, object] = dict(row)
    if "tags" in values:
        values["tags"] = json.loads(row["tags"])
        values["stream"] = None if row["stream"] is None else bool(row["stream"])
    return values
