"""Sums of the ledger's rows per quarter of an hour and everything that a report can group by, so that a report about a year reads some
ten thousand rows instead of a million.

The table `quarters` is a cache.  It holds the sums of every quarter, except those in the table `unsummed`.  Triggers put a quarter there
in the transaction that changes one of its rows, whoever changes it.  Readers read the rows of such a quarter; the writer sums them up
when the quarter is over.  When the definition below has changed, tables and triggers are made anew, and every quarter is summed up again.

A quarter lies in one local day and one local hour in every zone: all are off UTC by whole quarters.
"""

# ruff: noqa: S608 -- every query here is made of this package's own names
from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sidecar.ledger.columns import GROUPED, SUMMED

if TYPE_CHECKING:
    import sqlite3

SECONDS = 900

_MODEL = "coalesce(model_served, model_sent, model_requested)"
#: What sums are grouped by, as SQL over a row of `requests` or `hours`.
_DIMENSIONS = {name: name for name in GROUPED} | {"model": _MODEL}
#: What may be unknown.  A sum of nothing but unknowns is unknown; times in whole microseconds, which add up the same in any order.
_MEASURES = {name: name for name in SUMMED} | {
    "reported_nanousd": "CAST(round(reported_cost_usd * 1e9) AS INTEGER)",
    "difference_nanousd": "CAST(round(reported_cost_usd * 1e9) AS INTEGER) - cost_nanousd",
    "subscription_nanousd": "CASE WHEN billing = 'subscription' THEN cost_nanousd END",
    "first_byte_us": "CAST(round(first_byte_ms * 1000) AS INTEGER)",
    "timed_tokens": "CASE WHEN usage_source = 'final' THEN output_tokens END",
    "timed_us": "CASE WHEN usage_source = 'final' THEN CAST(round(duration_ms * 1000) AS INTEGER) END",
}
_FAILED = "coalesce(outcome NOT IN ('complete', 'client_cancelled', 'unmetered'), 0)"
_UNMETERED = "coalesce(outcome = 'unmetered', 0)"
#: What is only counted: SQL over a row of `requests`, and over a row of `hours`.
_COUNTS = {
    "requests": ("1", "requests"),
    "priced_requests": ("cost_nanousd IS NOT NULL", "priced_requests"),
    "first_bytes": ("first_byte_ms IS NOT NULL", "timed_requests"),
    "unmetered_requests": (_UNMETERED, f"{_UNMETERED} * requests"),
    "errors": (_FAILED, f"{_FAILED} * requests"),
}

NUMBERS = (*_COUNTS, *_MEASURES)
#: What `quarters`, the view `counted` and `OF_HOURS` have in common.
COLUMNS = (*_DIMENSIONS, *NUMBERS, "first", "last")


def _sql(values: dict[str, str]) -> str:
    return ", ".join(f"{value} AS {name}" for name, value in values.items())


def _quarter(row: str = "") -> str:
    return f"CAST(strftime('%s', {row}started_at) AS INTEGER) / {SECONDS}"


_REQUEST = _DIMENSIONS | {name: of_a_request for name, (of_a_request, _) in _COUNTS.items()} | _MEASURES
_HOUR = _DIMENSIONS | {name: of_an_hour for name, (_, of_an_hour) in _COUNTS.items()} | _MEASURES
#: The columns, out of the table `hours`.
OF_HOURS = f"{_sql(_HOUR)}, first, last"


def _mark(row: str) -> str:
    """SQL that puts the quarter of `row`, NEW. or OLD., into `unsummed` if the sums contain it."""
    quarter = _quarter(row)
    is_summed = f"{row}finished_at IS NOT NULL AND {row}kind = 'inference'"
    return f"INSERT INTO unsummed SELECT {quarter} WHERE {is_summed} AND {quarter} NOT IN (SELECT quarter FROM unsummed);"


_COUNTED = {"quarter": _quarter()} | _REQUEST | {"first": "started_at", "last": "started_at"}
# The plus keeps SQLite from making an index of all rows by their kind, each time, instead of using the one by their start.
_TABLES = (
    "TABLE unsummed (quarter INTEGER PRIMARY KEY)",
    f"TABLE quarters (quarter INTEGER NOT NULL, {', '.join(COLUMNS)})",
    f"VIEW counted AS SELECT id, started_at, finished_at, {_sql(_COUNTED)} FROM requests WHERE +kind = 'inference'",
)
_DEFINITION = (
    *_TABLES,
    "INDEX quarters_by_time ON quarters (quarter)",
    "INDEX quarters_by_session ON quarters (session, quarter)",
    f"TRIGGER quarters_row_in AFTER INSERT ON requests BEGIN {_mark('NEW.')} END",
    f"TRIGGER quarters_row_out AFTER DELETE ON requests BEGIN {_mark('OLD.')} END",
    f"TRIGGER quarters_row_changed AFTER UPDATE ON requests BEGIN {_mark('OLD.')} {_mark('NEW.')} END",
)
_VERSION = hashlib.sha256("\n".join(_DEFINITION).encode()).hexdigest()
_MARK_ALL = f"INSERT INTO unsummed SELECT DISTINCT {_quarter()} FROM requests"

#: The rows of the quarters in `unsummed`, found by their start: `started_at` begins with the text of its second.
UNSUMMED = f"""
    unsummed CROSS JOIN counted
    ON counted.started_at >= strftime('%Y-%m-%dT%H:%M:%S', unsummed.quarter * {SECONDS}, 'unixepoch')
    AND counted.started_at < strftime('%Y-%m-%dT%H:%M:%S', (unsummed.quarter + 1) * {SECONDS}, 'unixepoch')
"""
_SUMS = {name: f"sum({name})" for name in NUMBERS} | {"first": "min(first)", "last": "max(last)"}
_SUM_UP = f"""
    INSERT INTO quarters (quarter, {", ".join(COLUMNS)})
    SELECT counted.quarter, {", ".join(_SUMS.get(name, name) for name in COLUMNS)} FROM {UNSUMMED}
    WHERE unsummed.quarter <= :last AND finished_at IS NOT NULL GROUP BY counted.quarter, {", ".join(_DIMENSIONS)}
"""


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the ledger keeps the sums that are defined here."""
    if not connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'caches'").fetchone():
        return False
    return connection.execute("SELECT 1 FROM caches WHERE name = 'quarters' AND definition = ?", (_VERSION,)).fetchone() is not None


def refresh(connection: sqlite3.Connection) -> None:
    """Make tables and triggers anew if their definition has changed; `sum_up` fills them."""
    if is_current(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not is_current(connection):  # another instance may have come first
            made = connection.execute(
                "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view', 'table')"
                " AND (name GLOB 'quarters*' OR name IN ('counted', 'unsummed')) ORDER BY type = 'table', type = 'view'"
            ).fetchall()
            for kind, name in made:
                connection.execute(f"DROP {kind} {name}")
            for statement in _DEFINITION:
                connection.execute(f"CREATE {statement}")
            connection.execute(_MARK_ALL)
            connection.execute("INSERT OR REPLACE INTO caches VALUES ('quarters', ?)", (_VERSION,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def imitate(connection: sqlite3.Connection) -> None:
    """For this connection alone, where the ledger keeps no sums, or those of another version: every quarter is read row by row."""
    for statement in _TABLES:
        connection.execute(f"CREATE TEMP {statement}")
    connection.execute(_MARK_ALL)


def sum_up(connection: sqlite3.Connection, before: float, most: int) -> bool:
    """Sum up the oldest `most` quarters that are due and ended before `before`, in one transaction; False: there were none."""
    due = "SELECT max(quarter) FROM (SELECT quarter FROM unsummed WHERE quarter < ? ORDER BY quarter LIMIT ?)"
    (last,) = connection.execute(due, (before // SECONDS, most)).fetchone()
    if last is None:
        return False
    connection.execute("BEGIN IMMEDIATE")
    for statement in (
        "DELETE FROM quarters WHERE quarter IN (SELECT quarter FROM unsummed WHERE quarter <= :last)",
        _SUM_UP,
        "DELETE FROM unsummed WHERE quarter <= :last",
    ):
        connection.execute(statement, {"last": last})
    connection.execute("COMMIT")
    return True
