"""The whole ledger, row by row and column by column, for other programs: the hours of old requests first, then the single ones."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from sidecar.errors import SidecarError
from sidecar.ledger.reader import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    Rows = Iterator[dict[str, object]]

_TABLES = ("hours", "requests")
#: What SQLite has no type for.
_LISTS, _CLAIMS = "tags", "stream"


@contextmanager
def exported(path: str) -> Iterator[tuple[dict[str, type], Rows]]:
    """The columns of both tables with their types (str, int, float, bool, list of str), and the rows as they come off the disk.

    `table` says which one a row is from: a row of `hours` stands for as many requests as its `requests` says.
    Rows written meanwhile are not among them.
    """
    try:
        with closing(connect(path)) as connection:
            connection.execute("BEGIN")
            yield _columns(connection), _rows(connection)
    except sqlite3.Error as error:
        raise SidecarError(f"the ledger {path} cannot be read: {error}", "see: sidecar doctor") from error


def _columns(connection: sqlite3.Connection) -> dict[str, type]:
    found: dict[str, type] = {"table": str}
    for table in reversed(_TABLES):
        for row in connection.execute(f"PRAGMA table_info({table})"):
            found[row["name"]] = {"TEXT": str, "INTEGER": int, "REAL": float}[row["type"]]
    return found | {_LISTS: list, _CLAIMS: bool}


def _rows(connection: sqlite3.Connection) -> Rows:
    for table in _TABLES:
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY started_at"):  # noqa: S608 -- one of two names of ours
            values = {"table": table, **dict(row), _LISTS: json.loads(row[_LISTS])}
            if values.get(_CLAIMS) is not None:
                values[_CLAIMS] = bool(values[_CLAIMS])
            yield values
