"""The whole ledger, row by row and column by column, for other programs: the hours of old requests first, then the single ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from sidecar.errors import SidecarError
from sidecar.ledger.columns import TABLES
from sidecar.ledger.reader import connect, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    Rows = Iterator[dict[str, object]]

_TYPES: dict[str, type] = {"table": str} | {column.name: column.type for columns in TABLES.values() for column in columns}


@contextmanager
def exported(path: str) -> Iterator[tuple[dict[str, type], Rows]]:
    """The columns of both tables with their types (str, int, float, bool, list of str), and the rows as they come off the disk.

    `table` says which one a row is from: a row of `hours` stands for as many requests as its `requests` says.
    Rows written meanwhile are not among them.  Raises SidecarError.
    """
    try:
        with closing(connect(path)) as connection:
            connection.execute("BEGIN")
            yield _TYPES, _rows(connection)
    except sqlite3.Error as error:
        raise SidecarError(f"the ledger {path} cannot be read: {error}", "see: sidecar doctor") from error


def _rows(connection: sqlite3.Connection) -> Rows:
    for table in ("hours", "requests"):
        names = ", ".join(column.name for column in TABLES[table])
        for row in connection.execute(f"SELECT {names} FROM {table} ORDER BY started_at"):  # noqa: S608 -- this package's own names
            yield {"table": table} | readable(row)
