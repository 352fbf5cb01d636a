"""Reports from the ledger, read over a connection of their own: they work with the daemon down.

Sums are over `inference` requests.  A sum of nothing but unknowns is unknown, None; a cost is the sum of what has a price, with the
number of requests that have none beside it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from sidecar.clock import moment
from sidecar.ledger.columns import NAMES, TOKENS
from sidecar.ledger.quarters import NUMBERS
from sidecar.ledger.reader import readable, reading
from sidecar.ledger.sums import question, question_of_run
from sidecar.pricing.names import canonical

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    Row = Mapping[str, object]

#: What `--by` can say, as SQL over the columns of `quarters`; a tag counts in every row that carries it.
KEYS = {
    "session": "session",
    "model": "model",
    "gateway": "gateway",
    "tag": "tag.value",
    "agent": "agent",
    "project": "project",
    "repo": "repo",
    "branch": "branch",
    "client": "client",
    "day": "strftime('%Y-%m-%d', first, 'localtime')",
    "hour": "strftime('%Y-%m-%dT%H:00', first, 'localtime')",
}
#: What a session's row says beside its sums: columns of `quarters`, and the names under which their values are listed.
_MET = {"project": "projects", "gateway": "gateways", "client": "clients"}
_INPUT_SIDE = tuple(name for name in TOKENS if name != "output_tokens")
_COLUMNS = ", ".join(NAMES)


class Report(TypedDict):
    """A report as it is printed.  `since` and `until` are UTC texts, None if the period has no such end."""

    by: str
    since: str | None
    until: str | None
    rows: list[Row]
    total: Row


def report(
    path: str,
    by: str = "session",
    since: datetime | None = None,
    until: datetime | None = None,
    session: str | None = None,
    gateway: str | None = None,
) -> Report:
    """What was used from `since` up to, not including, `until`.

    With `by` "request" the rows are the ledger's own, of every kind, oldest first.  Sessions are listed by their last request, the
    newest last, each with the projects, gateways and clients that were met.  No ledger is an empty one.
    """
    begin, end = (when.timestamp() if when else None for when in (since, until))
    only = {name: value for name, value in (("session", session), ("gateway", gateway)) if value is not None}
    with reading(path) as connection:

        def grouped(key: str, met: Sequence[str] = ()) -> list[Row]:
            return [dict(row) for row in connection.execute(*question(key, begin, end, only, met))]

        if by == "request":
            rows, sums = _requests(connection, begin, end, only), grouped("NULL")
        else:
            found = grouped(KEYS[by], tuple(_MET) if by == "session" else ())
            rows = _ROWS.get(by, _by_key)(found)
            sums = grouped("NULL") if by == "tag" else found  # a request with two tags is in the total once
    period = [moment(seconds) if seconds is not None else None for seconds in (begin, end)]
    return Report(by=by, since=period[0], until=period[1], rows=rows, total=_shown(_added(sums)))


def report_of_run(path: str, session: str, run: str) -> Report:
    """What one run used in one session.  Other runs of the same session are left out."""
    with reading(path) as connection:
        sums = [dict(row) for row in connection.execute(question_of_run(), {"session": session, "run": run})]
    rows: list[Row] = [{"key": row["key"], **_shown(row)} for row in sums]
    return Report(by="session", since=None, until=None, rows=rows, total=_shown(_added(sums)))


def _by_key(sums: Iterable[Row]) -> list[Row]:
    return [{"key": row["key"], **_shown(row)} for row in sums]


def _by_session(sums: Iterable[Row]) -> list[Row]:
    newest_last = sorted(sums, key=lambda row: str(row["last"]))
    return [
        {"key": row["key"], **{name: sorted(json.loads(str(row[column]))) for column, name in _MET.items()}, **_shown(row)}
        for row in newest_last
    ]


def _by_model(sums: Iterable[Row]) -> list[Row]:
    """A row for each model, whatever gateways call it; `spellings` are the names that were met."""
    models: dict[str | None, list[Row]] = {}
    for row in sums:
        models.setdefault(canonical(str(row["key"])) if row["key"] is not None else None, []).append(row)
    return [
        {"key": model, "spellings": sorted(str(row["key"]) for row in rows if row["key"] is not None), **_shown(_added(rows))}
        for model, rows in models.items()
    ]


_ROWS = {"model": _by_model, "session": _by_session}


def _requests(connection: sqlite3.Connection, since: float | None, until: float | None, only: Mapping[str, str]) -> list[Row]:
    given = {f"{name} = ?": value for name, value in only.items()}
    given |= {f"started_at {sign} ?": moment(when) for sign, when in ((">=", since), ("<", until)) if when is not None}
    query = f"SELECT {_COLUMNS} FROM requests WHERE {' AND '.join(('1', *given))} ORDER BY started_at, id"  # noqa: S608 -- this module's own text
    return [readable(row) for row in connection.execute(query, [*given.values()])]


def _added(rows: Iterable[Row]) -> Row:
    """The total of several rows of sums."""
    rows = list(rows)
    known = {name: [value for row in rows if isinstance(value := row[name], int)] for name in NUMBERS}
    ends = [(str(row["first"]), str(row["last"])) for row in rows]
    return {name: sum(values) if values else None for name, values in known.items()} | {
        "first": min((first for first, _ in ends), default=None),
        "last": max((last for _, last in ends), default=None),
    }


def _shown(sums: Row) -> Row:
    """The sums as a report's row shows them.  Shares are of 1; speed includes the time until the first byte, which is a mean.

    `subscription_cost_usd` is the part of the cost that a subscription covers.  `reported_cost_usd` is what gateways named themselves;
    `reported_difference_usd` is how much that exceeds the computed cost, for requests that have both.
    """
    number = {name: value if isinstance(value := sums[name], int) else None for name in NUMBERS}
    requests = number["requests"] or 0
    read_or_not = [tokens for name in _INPUT_SIDE if (tokens := number[name]) is not None]
    return {
        "requests": requests,
        **{name: number[name] for name in TOKENS},
        "cost_usd": _per(number["cost_nanousd"], 1e9),
        "unpriced_requests": requests - (number["priced_requests"] or 0),
        "unmetered_requests": number["unmetered_requests"] or 0,
        "subscription_cost_usd": _per(number["subscription_nanousd"], 1e9),
        "reported_cost_usd": _per(number["reported_nanousd"], 1e9),
        "reported_difference_usd": _per(number["difference_nanousd"], 1e9),
        "errors": number["errors"] or 0,
        "first": sums["first"],
        "last": sums["last"],
        "cache_share": _per(number["cache_read_tokens"], sum(read_or_not)),
        "tokens_per_second": _per(number["timed_tokens"], (number["timed_us"] or 0) / 1e6),
        "first_byte_ms": _per(number["first_byte_us"], (number["first_bytes"] or 0) * 1e3),
        "error_share": _per(number["errors"], requests),
    }


def _per(value: int | None, unit: float) -> float | None:
    return value / unit if value is not None and unit else None
