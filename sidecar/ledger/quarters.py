"""The sums that reports are made from, one row per quarter of an hour and everything a report can group by.

An index, nothing more: the table `quarters` always says what a GROUP BY over the ended `inference` rows of `requests` would say.
Triggers keep it so, in the transaction that changes a row, whoever changes it; a question about a year then reads some ten thousand
rows instead of a million.  A quarter lies in one local day and one local hour wherever one is: all zones are off UTC by quarters.
"""

# ruff: noqa: S608 -- every query here is made of this module's own names
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

SECONDS = 900

#: What sums are grouped by, as SQL over a row of `requests` or `hours`.
_DIMENSIONS = {
    "session": "session",
    "gateway": "gateway",
    "model": "coalesce(model_served, model_sent, model_requested)",
    "agent": "agent",
    "tags": "tags",
    "project": "project",
    "repo": "repo",
    "branch": "branch",
    "client": "client",
    "billing": "billing",
}
#: What may be unknown.  A sum of nothing but unknowns is unknown; times in whole microseconds, which add up the same in any order.
_MEASURES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_5m_tokens": "cache_write_5m_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "cost_nanousd": "cost_nanousd",
    "reported_nanousd": "CAST(round(reported_cost_usd * 1e9) AS INTEGER)",
    "difference_nanousd": "CAST(round(reported_cost_usd * 1e9) AS INTEGER) - cost_nanousd",
    "subscription_nanousd": "CASE WHEN billing = 'subscription' THEN cost_nanousd END",
    "first_byte_us": "CAST(round(first_byte_ms * 1000) AS INTEGER)",
    "timed_tokens": "CASE WHEN usage_source = 'final' THEN output_tokens END",
    "timed_us": "CASE WHEN usage_source = 'final' THEN CAST(round(duration_ms * 1000) AS INTEGER) END",
}
_FAILED = "coalesce(outcome NOT IN ('complete', 'client_cancelled'), 0)"
#: What is only counted: SQL over a row of `requests`, and over a row of `hours`.
_COUNTS = {
    "requests": ("1", "requests"),
    "priced_requests": ("cost_nanousd IS NOT NULL", "priced_requests"),
    "first_bytes": ("first_byte_ms IS NOT NULL", "timed_requests"),
    "errors": (_FAILED, f"{_FAILED} * requests"),
}

DIMENSIONS = tuple(_DIMENSIONS)
NUMBERS = (*_COUNTS, *_MEASURES)
#: What `quarters`, the view `counted` and `OF_HOURS` have in common.
COLUMNS = (*DIMENSIONS, *NUMBERS, "first", "last")

_KNOWN = tuple(f"known_{name}" for name in _MEASURES)
_STORED = ("quarter", *COLUMNS, *_KNOWN)
# A zero is no text, so it stands for an unknown without being mistaken for a name.
_ONE_GROUP = ", ".join(("session", "quarter", *(f"ifnull({name}, 0)" for name in DIMENSIONS if name != "session")))


def _sql(values: dict[str, str]) -> str:
    return ", ".join(f"{value} AS {name}" for name, value in values.items())


_REQUEST = _DIMENSIONS | {name: of_a_request for name, (of_a_request, _) in _COUNTS.items()} | _MEASURES
_HOUR = _DIMENSIONS | {name: of_an_hour for name, (_, of_an_hour) in _COUNTS.items()} | _MEASURES
#: The columns, out of the table `hours`.
OF_HOURS = f"{_sql(_HOUR)}, first, last"


def create(connection: sqlite3.Connection) -> None:
    """The table, with the sums of what is there (ten seconds for a million rows, once), and the triggers that keep it true."""
    _fill(connection, "")
    connection.execute(f"CREATE UNIQUE INDEX quarters_group ON quarters ({_ONE_GROUP})")
    connection.execute("CREATE INDEX quarters_by_time ON quarters (quarter)")
    for name, when, row, change in (
        ("row_in", "AFTER INSERT", "NEW", _add("NEW")),
        ("row_out", "BEFORE DELETE", "OLD", _take_away("OLD")),
        ("row_changes", "BEFORE UPDATE", "OLD", _take_away("OLD")),
        ("row_changed", "AFTER UPDATE", "NEW", _add("NEW")),
    ):
        connection.execute(
            f"CREATE TRIGGER quarters_{name} {when} ON requests"
            f" WHEN {row}.finished_at IS NOT NULL AND {row}.kind = 'inference' BEGIN {change} END"
        )


def imitate(connection: sqlite3.Connection) -> None:
    """For this connection alone, where the ledger is an earlier version's and has no such table."""
    _fill(connection, "TEMP")


def _fill(connection: sqlite3.Connection, temp: str) -> None:
    known = ", ".join(f"{value} IS NOT NULL AS known_{name}" for name, value in _MEASURES.items())
    connection.execute(f"""
        CREATE {temp} VIEW counted AS SELECT id, started_at, finished_at,
            CAST(strftime('%s', started_at) AS INTEGER) / {SECONDS} AS quarter, {_sql(_REQUEST)},
            started_at AS first, started_at AS last, {known}
        FROM requests WHERE kind = 'inference'
    """)
    sums = {name: f"sum({name})" for name in (*NUMBERS, *_KNOWN)} | {"first": "min(first)", "last": "max(last)"}
    filled = ", ".join(sums.get(name, name) for name in _STORED)
    connection.execute(f"CREATE {temp} TABLE quarters ({', '.join(_STORED)})")
    connection.execute(
        f"INSERT INTO quarters SELECT {filled} FROM counted WHERE finished_at IS NOT NULL GROUP BY quarter, {', '.join(DIMENSIONS)}"
    )


def _add(row: str) -> str:
    return _merged(row, "")


def _take_away(row: str) -> str:
    """The same with every number negated; a group from which all rows have gone goes too."""
    return f"{_merged(row, '-')} DELETE FROM quarters WHERE session = {row}.session AND requests = 0;"


def _merged(row: str, sign: str) -> str:
    numbers = {*NUMBERS, *_KNOWN}
    values = ", ".join(sign + name if name in numbers else name for name in _STORED)
    changes = [f"{name} = {name} + excluded.{name}" for name in (*_COUNTS, *_KNOWN)]
    changes += [
        f"{name} = CASE WHEN known_{name} + excluded.known_{name} THEN ifnull({name}, 0) + ifnull(excluded.{name}, 0) END"
        for name in _MEASURES
    ]
    changes += ["first = min(first, excluded.first)", "last = max(last, excluded.last)"]
    return (
        f"INSERT INTO quarters ({', '.join(_STORED)}) SELECT {values} FROM counted WHERE id = {row}.id"
        f" ON CONFLICT ({_ONE_GROUP}) DO UPDATE SET {', '.join(changes)};"
    )
