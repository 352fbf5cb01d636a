"""The ledger opened for reading, over a connection of its own, with the daemon up or down."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from sidecar.errors import SidecarError
from sidecar.ledger import quarters
from sidecar.ledger.columns import COLUMNS, TABLES
from sidecar.ledger.hours import BOTH
from sidecar.ledger.schema import for_reading, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_CONVERTERS: dict[type, Callable[[str], object]] = {list: json.loads, bool: bool}
_CONVERTED = {column.name: _CONVERTERS[column.type] for column in COLUMNS if column.type in _CONVERTERS}


def connect(path: str) -> sqlite3.Connection:
    """The ledger, or an empty one in memory if there is none yet, with the view `used`: every request, with the columns of `hours`.

    Raises sqlite3.Error.
    """
    if os.path.exists(path):
        connection = sqlite3.connect(for_reading(path), uri=True, isolation_level=None)
        if _prepared(connection):
            return connection
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    quarters.refresh(connection)
    _prepared(connection)
    return connection


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """`connect` for the length of a block.  Raises SidecarError where the ledger cannot be read."""
    try:
        with closing(connect(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise SidecarError(f"the ledger {path} cannot be read: {error}", "see: sidecar doctor") from error


def readable(row: sqlite3.Row) -> dict[str, object]:
    """A row's values by name, with the types that SQLite does not have."""
    values = dict(row)
    for name, convert in _CONVERTED.items():
        if values.get(name) is not None:
            values[name] = convert(values[name])
    return values


def _prepared(connection: sqlite3.Connection) -> bool:
    """Whether it holds a ledger, which can be read then.  Else the connection is closed, as it is after an error."""
    with ExitStack() as stack:
        stack.callback(connection.close)
        if not _has(connection, "requests"):
            return False
        connection.row_factory = sqlite3.Row
        for table in TABLES:
            _complete(connection, table)
        if not quarters.is_current(connection):
            quarters.imitate(connection)
        connection.execute(f"CREATE TEMP VIEW used AS {BOTH}")
        stack.pop_all()
    return True


def _complete(connection: sqlite3.Connection, table: str) -> None:
    """Hide a table that an earlier version left without columns, or did not make, behind one that has them, all unknown."""
    present = [row["name"] for row in connection.execute(f"PRAGMA main.table_info({table})")]
    missing = [column.name for column in TABLES[table] if column.name not in present]
    if missing:
        columns = ", ".join((*present, *(f"NULL AS {name}" for name in missing)))
        rows = f"main.{table}" if present else "(SELECT 1 WHERE 0)"
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT {columns} FROM {rows}")  # noqa: S608 -- this package's own names


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
