"""The ledger's tables, as migrations: each applied once, in its own transaction with its record.

A migration is SQL that never changes once it is released.  What it makes is never named by today's constants: ledgers of every released
version are in `tests/ledger/released`.  A ledger with a migration that is not known here was written by a newer sidecar, and is left alone.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from urllib.parse import quote

from sidecar.errors import SidecarError
from sidecar.launch.places import make_private
from sidecar.ledger import quarters

#: How long a statement waits for another program's lock before it counts as failed; jobs wait in memory meanwhile.
BUSY_SECONDS = 1.0

_INCREMENTAL = 2


class LedgerTooNew(SidecarError):
    """A newer sidecar has written this ledger."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the ledger {path} was written by a newer version of sidecar; nothing was changed",
            "update this sidecar, or move the ledger away to begin a new one",
        )


def for_reading(path: str) -> str:
    """The address of the file that SQLite never writes to.  Without `urllib.request`, whose import takes 40 ms."""
    slashed = os.path.abspath(path).replace(os.sep, "/")
    return f"file:///{quote(slashed.lstrip('/'), safe='/:')}?mode=ro"


def connect(path: str) -> sqlite3.Connection:
    """Open the ledger for writing, made and brought up to date where needed.  Private to the user: 0600, as are its companions,
    which take their mode from it.  Raises LedgerTooNew, sqlite3.Error, OSError.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    make_private((path, f"{path}-wal", f"{path}-shm"))
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        is_shrinkable = connection.execute("PRAGMA auto_vacuum").fetchone() == (_INCREMENTAL,)
        if not is_shrinkable:  # holds from the first table on, or from the next VACUUM
            connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        migrate(connection, path)
        quarters.refresh(connection)
        if not is_shrinkable:
            _rewrite(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def check_version(path: str) -> None:
    """Raises LedgerTooNew.  Changes nothing, and whatever else is wrong with the file shows when it is opened."""
    if os.path.exists(path):
        with suppress(sqlite3.Error), closing(sqlite3.connect(for_reading(path), uri=True)) as connection:
            _refuse_newer(_applied(connection), path)


def _refuse_newer(applied: set[str], path: str) -> None:
    if applied - MIGRATIONS.keys():
        raise LedgerTooNew(path)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the tables up to date.  Raises LedgerTooNew, sqlite3.Error."""
    applied = _applied(connection)
    _refuse_newer(applied, path)
    for name in MIGRATIONS:
        if name not in applied:
            _apply(connection, name)


def _rewrite(connection: sqlite3.Connection) -> None:
    """Once in a ledger's life, so that it can give free pages back: a second for every few 100 MB that an earlier version left."""
    with suppress(sqlite3.OperationalError):  # a full disk, somebody else's lock: it does without, and the next start tries again
        connection.execute("VACUUM")


def _applied(connection: sqlite3.Connection) -> set[str]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return set()
    return {name for (name,) in connection.execute("SELECT name FROM migrations")}


def _apply(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another instance may have come first.
        if name not in _applied(connection):
            connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
            for statement in MIGRATIONS[name]:
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", (name,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


#: One row per request for which a gateway was tried.  Times are UTC, ISO 8601 with milliseconds; NULL is unknown.
_REQUESTS = """
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('inference', 'count', 'other')),
    session TEXT NOT NULL,
    run TEXT,
    agent TEXT,
    parent_agent TEXT,
    gateway TEXT NOT NULL,
    tags TEXT NOT NULL,
    project TEXT,
    repo TEXT,
    branch TEXT,
    client TEXT,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    model_requested TEXT,
    model_sent TEXT,
    model_served TEXT,
    stream INTEGER,
    status INTEGER,
    outcome TEXT,
    error_type TEXT,
    stop_reason TEXT,
    message_id TEXT,
    request_id TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_5m_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    thinking_tokens INTEGER,
    web_search_requests INTEGER,
    web_fetch_requests INTEGER,
    iterations TEXT,
    service_tier TEXT,
    speed TEXT,
    inference_geo TEXT,
    cache_status TEXT,
    usage_source TEXT,
    billing TEXT NOT NULL,
    cost_nanousd INTEGER,
    price_source TEXT,
    reported_cost_usd REAL,
    bytes_in INTEGER,
    bytes_out INTEGER,
    first_byte_ms REAL,
    duration_ms REAL,
    retry_count INTEGER
)
"""

#: What became of rows older than `ledger.keep`: one row per hour and everything they had in common, so that no total changes.
#: `started_at` is the hour's beginning, `first` and `last` the first and last start in it; a sum of nothing but unknowns is NULL.
#: `priced_requests` have a cost, `timed_requests` a `first_byte_ms`.
_HOURS = """
CREATE TABLE hours (
    started_at TEXT NOT NULL,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    kind TEXT NOT NULL,
    session TEXT NOT NULL,
    run TEXT,
    agent TEXT,
    parent_agent TEXT,
    gateway TEXT NOT NULL,
    tags TEXT NOT NULL,
    project TEXT,
    repo TEXT,
    branch TEXT,
    client TEXT,
    model_requested TEXT,
    model_sent TEXT,
    model_served TEXT,
    billing TEXT NOT NULL,
    outcome TEXT,
    error_type TEXT,
    usage_source TEXT,
    requests INTEGER NOT NULL,
    priced_requests INTEGER NOT NULL,
    timed_requests INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_5m_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    thinking_tokens INTEGER,
    web_search_requests INTEGER,
    web_fetch_requests INTEGER,
    cost_nanousd INTEGER,
    reported_cost_usd REAL,
    bytes_in INTEGER,
    bytes_out INTEGER,
    first_byte_ms REAL,
    duration_ms REAL
)
"""

#: By name, in the order in which they are applied.
MIGRATIONS: dict[str, tuple[str, ...]] = {
    "requests": (
        _REQUESTS,
        "CREATE INDEX requests_by_start ON requests (started_at)",
        "CREATE INDEX requests_by_session ON requests (session, started_at)",
        "CREATE INDEX requests_open ON requests (instance) WHERE finished_at IS NULL",
    ),
    "hours": (
        _HOURS,
        "CREATE INDEX hours_by_start ON hours (started_at)",
        "CREATE INDEX hours_by_session ON hours (session, started_at)",
    ),
    # Its tables are a cache by now, and `quarters.refresh` drops them.
    "quarters": (),
    # `definition` tells which version of the program made the cache `name`.
    "caches": ("CREATE TABLE caches (name TEXT PRIMARY KEY, definition TEXT NOT NULL)",),
}
