"""Rolls old rows up into one row per hour and everything they have in common: the file stays small, and no total changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.ledger.columns import ADDED, APART, HOURS

if TYPE_CHECKING:
    import sqlite3

_COLUMNS = ", ".join(column.name for column in HOURS)

#: The beginning of the local hour, so that it lies in one local day also where the zone is half an hour off.  Counted back from the row:
#: of an hour that comes twice when the clock goes back, each has its own beginning.
_HOUR = "strftime('%Y-%m-%dT%H:%M:00.000Z', started_at, '-' || strftime('%M', started_at, 'localtime') || ' minutes')"

_NEXT = "SELECT min(started_at) FROM requests WHERE started_at < :before AND finished_at < :settled"
_OF_ITS_HOUR = f"""
    started_at >= :next AND started_at < strftime('%Y-%m-%dT%H:%M:%fZ', :next, '+1 hour') AND finished_at < :settled
    AND {_HOUR} = (SELECT {_HOUR} FROM (SELECT :next AS started_at))
"""  # noqa: S608 -- made of this package's own names

_SUM_UP = f"""
    INSERT INTO hours ({_COLUMNS})
    SELECT {_HOUR}, min(started_at), max(started_at), {", ".join(APART)},
        count(*), count(cost_nanousd), count(first_byte_ms), {", ".join(f"sum({name})" for name in ADDED)}
    FROM requests WHERE {_OF_ITS_HOUR} GROUP BY 1, {", ".join(APART)}
"""  # noqa: S608 -- see above
_REMOVE = f"DELETE FROM requests WHERE {_OF_ITS_HOUR}"  # noqa: S608 -- see above

#: Every request with the columns of `hours`, rolled up or not.
BOTH = f"""
    SELECT {_COLUMNS} FROM hours UNION ALL
    SELECT started_at, started_at, started_at, {", ".join(APART)},
        1, cost_nanousd IS NOT NULL, first_byte_ms IS NOT NULL, {", ".join(ADDED)} FROM requests
"""  # noqa: S608 -- see above


def roll_up(connection: sqlite3.Connection, before: str, settled: str) -> bool:
    """Roll up the oldest hour that has rows started before `before`, in one transaction.  Returns False if there was none.

    Rows that ended after `settled` stay: their cost may still be written.
    """
    (oldest,) = connection.execute(_NEXT, {"before": before, "settled": settled}).fetchone()
    if oldest is None:
        return False
    given = {"next": oldest, "settled": settled}
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_SUM_UP, given)
    connection.execute(_REMOVE, given)
    connection.execute("COMMIT")
    return True


def give_back(connection: sqlite3.Connection, pages: int) -> bool:
    """Return up to `pages` free pages to the file system.  Returns False if there are none."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    return bool(free)
