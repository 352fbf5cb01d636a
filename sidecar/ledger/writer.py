"""Writes the ledger: one thread, one queue, whatever waits in one transaction.

`open` and `close` put a value on a queue: they never block, never raise and cannot be cancelled halfway.  A row is on disk within
milliseconds; its cost follows, because the price table is still being imported when the first rows come.  While the file cannot be
written rows wait in memory, bounded, and go in when it can; the exchange itself never notices.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING

from sidecar.ledger.entry import Closing, Kind, Opening
from sidecar.ledger.row import closed, opened
from sidecar.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sidecar.ledger.row import Row
    from sidecar.metering.reading import Usage
    from sidecar.pricing.cost import Cost

#: Rows that wait for a file that cannot be written, some 20 MB of them; beyond that the oldest are lost.
WAITING_LIMIT = 10_000
#: Jobs taken from the queue, and rows priced (0.3 ms each), before the writer turns to the other.
JOBS_AT_ONCE = 256
PRICED_AT_ONCE = 32

_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.1, 5.0
_PRICES_SECONDS = 5.0
_STOP_SECONDS = 10.0


class _Signal(Enum):
    STOP = auto()
    PRICES_LOADED = auto()


class Ledger:
    """The ledger at `path`, as `instance` writes it.

    `on_problem(event, text)` hears what goes wrong: in the thread of `start` what is found there, else in the writer's.
    """

    def __init__(self, path: str, instance: str, on_problem: Callable[[str, str], None]) -> None:
        self._path = path
        self._on_problem = on_problem
        self._alive: tuple[str, ...] = (instance,)
        self._store = Store(path, on_problem)
        self._queue: queue.SimpleQueue[Opening | Closing | _Signal] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._work, name="sidecar-ledger", daemon=True)
        self._loader = threading.Thread(target=self._load_prices, name="sidecar-prices", daemon=True)
        self._in_flight: dict[str, Opening] = {}
        self._waiting: dict[str, Row] = {}
        self._unpriced: deque[tuple[Opening, Closing]] = deque(maxlen=WAITING_LIMIT)
        self._cost: Callable[[Usage, str | None, str | None, datetime], Cost] | None = None
        self._prices_settled = False
        self._lost = 0
        self._retry_seconds = 0.0
        self._retry_at = 0.0
        self._stopping = False

    def start(self, alive: Collection[str] = ()) -> None:
        """Open the ledger, close as lost what instances other than this one and those `alive` left open, begin to write.

        Raises LedgerTooNew.  Whatever else is wrong with the file is told, and tried again in the writer's thread.
        """
        self._alive = (*self._alive, *alive)
        try:
            self._store.open(self._alive)
        except (sqlite3.Error, OSError) as error:
            self._later(error)
        self._writer.start()
        self._loader.start()

    def open(self, opening: Opening) -> None:
        self._queue.put(opening)

    def close(self, closing: Closing) -> None:
        self._queue.put(closing)

    def stop(self) -> None:
        """Write what is there, costs included, and end the thread."""
        self._queue.put(_Signal.STOP)
        if self._writer.is_alive():
            self._writer.join(_STOP_SECONDS)

    def _work(self) -> None:
        while not self._stopping:
            self._receive()
            if time.monotonic() >= self._retry_at:
                self._write()
            if self._queue.empty():
                self._price(PRICED_AT_ONCE)
        self._loader.join(_PRICES_SECONDS)
        self._price(WAITING_LIMIT)
        self._write()
        if self._waiting:
            self._on_problem("ledger.rows_lost", f"{self._path}: {len(self._waiting)} rows could not be written before the end")
        self._store.close()

    def _receive(self) -> None:
        """Wait until there is something to do, then take what the queue holds."""
        with suppress(queue.Empty):
            self._take(self._queue.get(timeout=self._patience()))
            for _ in range(JOBS_AT_ONCE):
                self._take(self._queue.get_nowait())

    def _patience(self) -> float | None:
        if self._unpriced and self._prices_settled:
            return 0.0
        return max(self._retry_at - time.monotonic(), 0.0) if self._waiting else None

    def _take(self, job: Opening | Closing | _Signal) -> None:
        match job:
            case Opening():
                self._in_flight[job.id] = job
                self._put(opened(job))
            case Closing():
                opening = self._in_flight.pop(job.id, None)
                if opening is None:
                    return
                self._put(closed(opening, job))
                if opening.kind is Kind.INFERENCE:
                    self._unpriced.append((opening, job))
            case _Signal.STOP:
                self._stopping = True
            case _Signal.PRICES_LOADED:
                pass  # to be woken is all

    def _put(self, row: Row) -> None:
        self._waiting[str(row["id"])] = row
        if len(self._waiting) > WAITING_LIMIT:
            del self._waiting[next(iter(self._waiting))]
            self._lost += 1

    def _write(self) -> None:
        while self._waiting:
            ids = tuple(islice(self._waiting, JOBS_AT_ONCE))
            try:
                self._store.open(self._alive)
                self._store.write(self._waiting[id_] for id_ in ids)
            except Exception as error:  # noqa: BLE001 -- whatever is wrong, the rows are kept and tried again
                self._later(error)
                return
            for id_ in ids:
                del self._waiting[id_]
        self._again()

    def _later(self, error: Exception) -> None:
        """The file cannot be written now: say so once, try again soon, then less often."""
        if not self._retry_seconds:
            self._on_problem("ledger.unwritable", f"{self._path}: {error}; rows wait in memory until it can be written")
        self._retry_seconds = min(max(self._retry_seconds * 2, _FIRST_RETRY_SECONDS), _LAST_RETRY_SECONDS)
        self._retry_at = time.monotonic() + self._retry_seconds

    def _again(self) -> None:
        if self._retry_seconds:
            lost = f", {self._lost} rows were lost" if self._lost else ""
            self._on_problem("ledger.writable", f"{self._path}: can be written again{lost}")
        self._retry_seconds, self._lost = 0.0, 0

    def _load_prices(self) -> None:
        try:
            # Here, not above: the import takes 200 ms, which neither the start nor a row must wait for.
            from sidecar.pricing.cost import cost  # noqa: PLC0415
        except Exception as error:  # noqa: BLE001 -- without prices the tokens are still written
            self._on_problem("prices.unavailable", f"no costs are computed: {type(error).__name__}: {error}")
        else:
            self._cost = cost
        self._prices_settled = True
        self._queue.put(_Signal.PRICES_LOADED)

    def _price(self, most: int) -> None:
        """Compute the cost of rows that are on disk, and put them up for writing once more."""
        if not self._prices_settled:
            return
        for opening, closing in [self._unpriced.popleft() for _ in range(min(most, len(self._unpriced)))]:
            if self._cost is not None:
                found = self._cost(
                    closing.reading.usage,
                    closing.reading.model or opening.model_sent,
                    opening.price_provider,
                    datetime.fromtimestamp(closing.finished_at, UTC),
                )
                self._put(closed(opening, closing) | {"cost_nanousd": found.nanousd, "price_source": found.source})
