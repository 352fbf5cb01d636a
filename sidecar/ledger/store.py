"""The ledger's file: opened, put aside when it is damaged, rows written into it.  One thread at a time."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from msgspec.structs import astuple

from sidecar.clock import moment
from sidecar.ledger.balance import balance
from sidecar.ledger.hours import give_back, roll_up
from sidecar.ledger.quarters import sum_up
from sidecar.ledger.row import COLUMNS, storable
from sidecar.ledger.schema import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sidecar.budgets.budget import Account, Spent
    from sidecar.ledger.row import Row

#: Rows written by one statement, if SQLite takes so many values.  Each statement gives the interpreter's lock away and waits up to 5 ms to
#: get it back while the event loop is busy: one by one, 64 rows took up to 200 ms.
ROWS_AT_ONCE = 64
#: Free pages, of 4 KiB, given back in one step.
PAGES_AT_ONCE = 256
#: Quarters of an hour summed up in one step: a day's.
QUARTERS_AT_ONCE = 96
#: An update leaves the columns alone that have an index and never change: SQLite would write the index anew.
_CHANGING = tuple(name for name in COLUMNS if name not in {"id", "instance", "started_at", "session"})

# A row is None for the most part.  Where sqlite3 is told of no adapter for that it asks the value for one, and fails: 0.5 µs each.
sqlite3.register_adapter(type(None), lambda none: none)
sqlite3.register_adapter(bool, int)

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_COMPANIONS = ("", "-wal", "-shm")


class Store:
    """The file at `path`.

    `on_problem(event, text)` is called for a row that cannot be stored, `on_loss(event, text)` when the file with the earlier rows is
    gone: it was damaged and set aside, or somebody has deleted or replaced it.
    """

    def __init__(self, path: str, on_problem: Callable[[str, str], None], on_loss: Callable[[str, str], None]) -> None:
        self._path = path
        self._on_problem = on_problem
        self._on_loss = on_loss
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._version = 0

    def open(self, alive: Collection[str]) -> None:
        """Open the file if it is not open, and close as lost what instances not among `alive` left open in it.

        Raises LedgerTooNew, sqlite3.Error, OSError.
        """
        if self._connection is not None:
            if self._is_in_place():
                return
            self.close()
            self._on_loss("ledger.replaced", f"{self._path} was deleted or replaced; rows go to the file that is there now, or a new one")
        try:
            self._connection = _opened(self._path, alive)
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise
            self._put_aside(error)
            self._connection = _opened(self._path, alive)
        self._identity = _identity(self._path)
        self._version = _version(self._connection)

    def write(self, rows: Sequence[Row]) -> bool:
        """Insert these rows, or replace what is known of them, in one transaction.

        Returns False if the file was deleted or replaced meanwhile: open it again and write them again.  Raises sqlite3.Error, OSError.
        """
        with self._opened_file() as connection:
            at_once = min(ROWS_AT_ONCE, connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(COLUMNS))
            connection.execute("BEGIN IMMEDIATE")
            for first in range(0, len(rows), at_once):
                self._upsert(connection, rows[first : first + at_once])
            connection.execute("COMMIT")
        return self._is_in_place()

    def balance(self, account: Account) -> Spent:
        """What has been spent of it, by what is written.  Raises sqlite3.Error."""
        with self._opened_file() as connection:
            return balance(connection, account)

    def tidy(self, before: float | None, settled: float) -> bool:
        """One step of upkeep, of rows that ended before `settled`: sum up quarters that are over, roll up an hour from before `before`
        (None: keep every row), or give free pages back.

        False: nothing was left to do.  Raises sqlite3.Error.
        """
        with self._opened_file() as connection:
            return (
                sum_up(connection, settled, QUARTERS_AT_ONCE)
                or (before is not None and roll_up(connection, moment(before), moment(settled)))
                or give_back(connection, PAGES_AT_ONCE)
            )

    def was_changed_elsewhere(self) -> bool:
        """Whether another connection than ours has written since we last asked, or since the file was opened.  Raises sqlite3.Error."""
        if self._connection is None:
            return False
        before, self._version = self._version, _version(self._connection)
        return before != self._version

    def close(self) -> None:
        """Let go of the file.  What is not committed is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_in_place(self) -> bool:
        """Whether the path still names the open file.  Raises OSError if that cannot be seen."""
        return _identity(self._path) == self._identity

    @contextmanager
    def _opened_file(self) -> Iterator[sqlite3.Connection]:
        """The connection; let go of after an error, with what was not committed, the file put aside if it is damaged."""
        if self._connection is None:
            raise sqlite3.OperationalError("the ledger is not open")
        try:
            yield self._connection
        except sqlite3.Error as error:
            self.close()
            if _damaged(error):
                self._put_aside(error)
            raise

    def _upsert(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        try:
            connection.execute(_upsert(len(rows)), tuple(chain.from_iterable(map(astuple, rows))))
        except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, ValueError, OverflowError) as error:
            # One row is at fault, not the file: the others must not wait for it.
            if len(rows) > 1:
                for row in rows:
                    self._upsert(connection, [row])
            elif isinstance(error, UnicodeEncodeError):
                self._upsert(connection, [storable(rows[0])])
            else:
                self._on_problem("ledger.row_refused", f"row {rows[0].id} cannot be stored: {error}")

    def _put_aside(self, error: sqlite3.Error) -> None:
        """Move the damaged file and its companions to names that are free."""
        self.close()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = f"{self._path}.damaged-{stamp}"
        while os.path.lexists(aside):
            aside += "-again"
        for companion in _COMPANIONS:
            if os.path.lexists(self._path + companion):
                os.replace(self._path + companion, aside + companion)
        self._on_loss("ledger.damaged", f"{self._path}: {error}; it was moved to {aside} and a new ledger begun")


def is_locked(error: Exception) -> bool:
    """Whether another program has locked the file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode; None: there is no file."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _version(connection: sqlite3.Connection) -> int:
    """Changes when another connection has written; its own writing does not change it."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _opened(path: str, alive: Collection[str]) -> sqlite3.Connection:
    connection = connect(path)
    try:
        _close_lost(connection, alive)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _close_lost(connection: sqlite3.Connection, alive: Collection[str]) -> None:
    marks = ",".join("?" * len(alive))
    connection.execute(
        "UPDATE requests SET outcome = 'lost', usage_source = 'none', finished_at = ?"  # noqa: S608 -- the marks are question marks
        f" WHERE finished_at IS NULL AND instance NOT IN ({marks})",
        (moment(time.time()), *alive),
    )


@lru_cache(maxsize=ROWS_AT_ONCE)
def _upsert(rows: int) -> str:
    """For so many rows.  sqlite3 keeps the prepared statement by its text."""
    marks = ", ".join([f"({', '.join('?' * len(COLUMNS))})"] * rows)
    changes = ", ".join(f"{name} = excluded.{name}" for name in _CHANGING)
    return f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES {marks} ON CONFLICT (id) DO UPDATE SET {changes}"  # noqa: S608 -- our names
