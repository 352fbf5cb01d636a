"""The ledger opened for questions: read-only, over a connection of one's own, with the daemon up or down."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from sidecar.errors import SidecarError
from sidecar.ledger import quarters
from sidecar.ledger.hours import BOTH
from sidecar.ledger.schema import HOURS_COLUMNS, for_reading, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


def connect(path: str) -> sqlite3.Connection:
    """The ledger, or an empty one in memory where there is none yet, with the view `used`: every request, as `hours` has them.

    Raises sqlite3.Error.
    """
    if os.path.exists(path):
        connection = sqlite3.connect(for_reading(path), uri=True, isolation_level=None)
        if _prepared(connection):
            return connection
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
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


def _prepared(connection: sqlite3.Connection) -> bool:
    """Whether it holds a ledger, which can then be asked; else it is closed, as it is after an error."""
    with ExitStack() as stack:
        stack.callback(connection.close)
        if not _has(connection, "requests"):
            return False
        connection.row_factory = sqlite3.Row
        if not _has(connection, "hours"):  # an earlier version's, until its daemon is restarted
            connection.execute(f"CREATE TEMP TABLE hours ({HOURS_COLUMNS})")
        if not _has(connection, "quarters"):
            quarters.imitate(connection)
        connection.execute(f"CREATE TEMP VIEW used AS {BOTH}")
        stack.pop_all()
    return True


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
