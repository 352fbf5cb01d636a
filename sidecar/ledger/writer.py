"""Writes the ledger: one thread, one queue, everything that waits in one transaction.

`open` and `close` put a value on a queue: they never block, never raise and cannot be cancelled halfway.  A row is on disk within
100 ms; the cost of the first rows follows, because the price table is imported when they come.  While the file cannot be written,
rows wait in memory, up to a limit, `error` says so, and budgets count what waits; the exchange itself never notices.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from sidecar.budgets.budget import Spent, Use
from sidecar.budgets.spending import Spending
from sidecar.errors import SidecarError
from sidecar.launch.places import PRICES_FILE
from sidecar.ledger.balance import balance
from sidecar.ledger.entry import Closing, Kind, Opening
from sidecar.ledger.reader import reading
from sidecar.ledger.row import billed, close
from sidecar.ledger.store import Store, is_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sidecar.budgets.budget import Account
    from sidecar.ledger.row import Row
    from sidecar.metering.reading import Usage
    from sidecar.pricing.bill import Billed, Cost
    from sidecar.pricing.terms import Terms

#: Rows that wait for a file that cannot be written, some 20 MB of them; beyond that the oldest are lost.
WAITING_LIMIT = 10_000
#: Jobs taken from the queue, and rows priced (a model's first takes 0.1 ms), before the writer turns to the other.
JOBS_AT_ONCE = 256
PRICED_AT_ONCE = 32

#: After the first job of a batch: what comes meanwhile wakes nobody, and goes to disk in one transaction.  Of a request that is over by
#: then one row is written, not two.  A quarter of the 100 ms within which a row has to be on disk.
GATHER_SECONDS = 0.025

_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.1, 5.0
_PRICES_SECONDS = 5.0
#: Until the price table is loaded again after it failed to load.
_PRICES_RETRY_SECONDS = 60.0
_LAST_TRIES_SECONDS = 3.0
_STOP_SECONDS = 10.0
#: Between two steps of upkeep, and until the next one when there was nothing to do: every quarter of an hour there are sums to make.
_TIDY_SECONDS, _TIDY_AGAIN_SECONDS = 0.02, 900.0
#: A row that ended this long ago has its cost: it is not written again.
_SETTLED_SECONDS = 60.0


class _Signal(Enum):
    STOP = auto()
    PRICES_LOADED = auto()


@dataclass(frozen=True, slots=True)
class _NewSettings:
    keep_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Question:
    account: Account
    answer: Future[Spent]


_Job: TypeAlias = Opening | Closing | _NewSettings | _Question | _Signal


class Ledger:
    """The ledger at `path`, as `instance` writes it.

    All callbacks run in the writer's thread, or in the thread of `start` for what is found there.  `on_problem(event, text)` is called
    when something goes wrong, `on_health()` when `error` has changed, `on_closed(row, gave_up)` for every row that is complete, with
    the reason why its metering ended early, if it did.  `spending` gets every inference that ends, and its cost.
    """

    def __init__(
        self,
        path: str,
        instance: str,
        on_problem: Callable[[str, str], None],
        spending: Spending | None = None,
        on_closed: Callable[[Row, str | None], None] = lambda _row, _gave_up: None,
        on_health: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._on_problem = on_problem
        self._on_closed = on_closed
        self._on_health = on_health
        self.spending = Spending() if spending is None else spending
        self._alive: tuple[str, ...] = (instance,)
        self._store = Store(path, on_problem, self._lose_earlier_rows)
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._work, name="sidecar-ledger", daemon=True)
        self._loader: threading.Thread | None = None
        self._closings = 0
        self._handled = 0
        self._in_flight: dict[str, Opening] = {}
        self._waiting: dict[str, Row] = {}
        self._unpriced: deque[Opening] = deque(maxlen=WAITING_LIMIT)
        self._cost: Callable[[Billed, Terms], Cost] | None = None
        self._prices_retry_at = 0.0
        self._lost = 0
        self._failure: str | None = None
        self._loss: str | None = None
        self._retry_seconds = 0.0
        self._retry_at = 0.0
        self._keep_seconds: float | None = None
        self._tidy_at = 0.0
        self._stopping = False
        self._hurry = threading.Event()  # somebody waits for what is in the queue

    @property
    def error(self) -> str | None:
        """What people have to know: the ledger cannot be written now, or rows have been lost since this process began.  None: nothing."""
        if self._failure is None:
            return self._loss
        lost = f", lost: {self._lost}" if self._lost else ""
        return f"{self._path} cannot be written: {self._failure}; rows waiting in memory: {len(self._waiting)}{lost}"

    def start(self, alive: Collection[str] = ()) -> None:
        """Open the ledger, close as lost what instances other than this one and those `alive` left open, begin to write.

        Raises LedgerTooNew.  After any other failure the writer's thread tries again.
        """
        self._alive = (*self._alive, *alive)
        try:
            self._store.open(self._alive)
        except (sqlite3.Error, OSError) as error:
            self._retry_later(error)
        self._writer.start()

    def open(self, opening: Opening) -> None:
        self._queue.put(opening)

    def close(self, closing: Closing) -> None:
        self._closings += 1
        self._queue.put(closing)
        if self.spending.has_accounts:
            self._hurry.set()  # the next request is to be judged by what this one has spent

    @property
    def is_behind(self) -> bool:
        """Whether `spending` lacks a request that was closed: only `balance` knows what has been spent then."""
        return self._closings != self._handled

    def configure(self, keep_seconds: float | None) -> None:
        """Roll up rows older than this whenever there is nothing else to do (None: keep them all), and sum accounts up anew."""
        self._queue.put(_NewSettings(keep_seconds))

    def balance(self, account: Account) -> Future[Spent]:
        """What has been spent of it, which `spending` knows from then on.

        While the ledger cannot be written, it is what can be read of it and what this process has relayed.
        """
        answer: Future[Spent] = Future()
        self._queue.put(_Question(account, answer))
        self._hurry.set()
        return answer

    def stop(self) -> None:
        """Write what is there, costs included, and end the thread."""
        self._queue.put(_Signal.STOP)
        self._hurry.set()
        if self._writer.is_alive():
            self._writer.join(_STOP_SECONDS)

    def _work(self) -> None:
        while not self._stopping:
            self._receive()
            if time.monotonic() >= self._retry_at:
                self._write()
            if self._queue.empty():
                self._price(PRICED_AT_ONCE)
            self._maintain()
        if self._loader is not None:
            self._loader.join(_PRICES_SECONDS)
        self._price(WAITING_LIMIT)
        self._write_last()
        if self._waiting:
            self._on_problem("ledger.rows_lost", f"{self._path}: {len(self._waiting)} rows could not be written before the end")
        self._store.close()

    def _write_last(self) -> None:
        """Wait some seconds for a file that another program has locked."""
        deadline = time.monotonic() + _LAST_TRIES_SECONDS
        self._write()
        while self._waiting and time.monotonic() < deadline:
            time.sleep(_FIRST_RETRY_SECONDS)
            self._write()

    def _receive(self) -> None:
        """Wait until there is something to do, then handle the jobs that the queue holds."""
        with suppress(queue.Empty):
            self._handle(self._queue.get(timeout=self._longest_wait()))
            if self._queue.qsize() < JOBS_AT_ONCE:
                self._hurry.wait(GATHER_SECONDS)
                self._hurry.clear()
            for _ in range(JOBS_AT_ONCE):
                self._handle(self._queue.get_nowait())

    def _longest_wait(self) -> float:
        """Seconds until there is something to do if no job comes."""
        if self._unpriced and self._cost is not None:
            return 0.0
        if self._waiting or self._failure is not None:
            return max(self._retry_at - time.monotonic(), 0.0)
        return max(self._tidy_at - time.monotonic(), 0.0)

    def _handle(self, job: _Job) -> None:
        match job:
            case Opening():
                self._in_flight[job.row.id] = job
                self._put(job.row)
                if job.kind is Kind.INFERENCE:
                    self._begin_to_load_prices()
            case Closing():
                if (opening := self._in_flight.pop(job.id, None)) is not None:
                    self._close_row(opening, job)
                self._handled += 1
            case _NewSettings(keep_seconds):
                self._keep_seconds, self._tidy_at = keep_seconds, 0.0
                self._sum_up_anew()  # nobody must be warned of a budget that is gone
            case _Question(account, answer):
                if answer.set_running_or_notify_cancel():
                    answer.set_result(self._balance(account))
            case _Signal.STOP:
                self._stopping = True
            case _Signal.PRICES_LOADED:
                pass  # it wakes the thread, which prices the rows that wait for it

    def _close_row(self, opening: Opening, closing: Closing) -> None:
        close(opening.row, opening.kind, closing)
        if opening.row.kind == Kind.INFERENCE.value:
            if self.spending.has_accounts:
                self.spending.add(_use(opening), _tokens(closing.reading.usage))
            if self._cost is not None:
                self._set_price(opening)
            else:
                self._unpriced.append(opening)
        self._put(opening.row)
        self._on_closed(opening.row, closing.reading.gave_up)

    def _put(self, row: Row) -> None:
        self._waiting[row.id] = row
        if len(self._waiting) > WAITING_LIMIT:
            oldest = self._waiting.pop(next(iter(self._waiting)))
            self._lost += oldest.finished_at is not None  # a row that is still open is put here again, whole, when it is closed

    def _write(self) -> None:
        try:
            while self._waiting or self._failure is not None:
                self._store.open(self._alive)
                ids = tuple(islice(self._waiting, JOBS_AT_ONCE))
                if not self._store.write([self._waiting[id_] for id_ in ids]):
                    continue
                for id_ in ids:
                    del self._waiting[id_]
                if not self._waiting:
                    self._recover()
        except Exception as error:  # noqa: BLE001 -- whatever is wrong, the rows are kept and tried again
            self._retry_later(error)

    def _retry_later(self, error: Exception) -> None:
        """The file cannot be written now: say so once, try again soon, then less often."""
        failure = str(error.strerror) if isinstance(error, OSError) and error.strerror else str(error)
        is_new, self._failure = self._failure is None, failure
        self._retry_seconds = min(max(self._retry_seconds * 2, _FIRST_RETRY_SECONDS), _LAST_RETRY_SECONDS)
        self._retry_at = time.monotonic() + self._retry_seconds
        if is_new:
            self._on_problem("ledger.unwritable", f"{self._path}: {failure}; rows wait in memory until it can be written")
            self._on_health()

    def _recover(self) -> None:
        """Everything is written.  If it could not be for a while, say so, and sum accounts up anew."""
        if self._failure is None:
            return
        lost = f"; rows lost: {self._lost}" if self._lost else ""
        if self._lost:
            self._loss = f"{self._path} could not be written for a while{lost}"
        self.spending.forget(rows_are_lost=self._lost > 0)
        self._failure, self._retry_seconds, self._retry_at, self._lost = None, 0.0, 0.0, 0
        self._on_problem("ledger.writable", f"{self._path}: can be written again{lost}")
        self._on_health()

    def _lose_earlier_rows(self, event: str, text: str) -> None:
        """The file that held them is gone: the next one gets the requests in flight, and budgets go on from what is known."""
        for opening in self._in_flight.values():
            self._waiting.setdefault(opening.row.id, opening.row)
        self.spending.forget(rows_are_lost=True)
        self._loss = text
        self._on_problem(event, text)
        self._on_health()

    def _sum_up_anew(self) -> None:
        """The next question about an account is answered from the ledger, unless that cannot be written: it lacks what waits."""
        if self._failure is None:
            self.spending.forget()

    def _begin_to_load_prices(self) -> None:
        if self._cost is None and self._loader is None and time.monotonic() >= self._prices_retry_at:
            self._loader = threading.Thread(target=self._load_prices, name="sidecar-prices", daemon=True)
            self._loader.start()

    def _load_prices(self) -> None:
        try:
            # Only when there is something to price: it takes 13 MiB, and 200 ms, which neither the start nor a row must wait for.
            from sidecar.pricing import table  # noqa: PLC0415
            from sidecar.pricing.cost import cost  # noqa: PLC0415

            table.follow(os.path.join(os.path.dirname(self._path), PRICES_FILE))
        except Exception as error:  # noqa: BLE001 -- without prices the tokens are still written
            self._on_problem("prices.unavailable", f"costs are not computed for now: {type(error).__name__}: {error}")
            self._prices_retry_at = time.monotonic() + _PRICES_RETRY_SECONDS
            self._loader = None
        else:
            self._cost = cost
            self._queue.put(_Signal.PRICES_LOADED)

    def _price(self, most: int) -> None:
        """Compute the cost of rows that went to disk before there were prices, and put them up for writing once more."""
        if self._cost is None:
            return
        for opening in [self._unpriced.popleft() for _ in range(min(most, len(self._unpriced)))]:
            self._set_price(opening)
            self._put(opening.row)

    def _set_price(self, opening: Opening) -> None:
        if self._cost is None:
            return
        found = self._cost(billed(opening.row), opening.terms)
        if found.nanousd is not None and self.spending.has_accounts:
            self.spending.add(_use(opening), Spent(nanousd=found.nanousd, unpriced=-1))
        opening.row.cost_nanousd, opening.row.price_source = found.nanousd, found.source

    def _balance(self, account: Account) -> Spent:
        known = self.spending.of(account)
        if known is None:
            known = self._written(account)
            if known is None:
                known = self._readable(account) + self._unwritten(account)
            self.spending.begin(account, known)
            known = self.spending.of(account) or known
        return known

    def _written(self, account: Account) -> Spent | None:
        """What the ledger says, once it holds every row.  None while it cannot be written."""
        if time.monotonic() >= self._retry_at:
            self._write()
        if self._waiting or self._failure is not None:
            return None
        try:
            self._store.open(self._alive)
            return self._store.balance(account)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong, a request must not fail because of it
            self._retry_later(error)
            return None

    def _readable(self, account: Account) -> Spent:
        """What can be read of a ledger that cannot be written."""
        try:
            with reading(self._path) as connection:
                return balance(connection, account)
        except (SidecarError, OSError):
            return Spent()

    def _unwritten(self, account: Account) -> Spent:
        """What the rows that wait have spent."""
        spent = Spent()
        for row in self._waiting.values():
            if row.finished_at is not None and row.kind == Kind.INFERENCE.value:
                started_at = datetime.fromisoformat(row.started_at).timestamp()
                use = Use(started_at, row.session, row.gateway, tuple(json.loads(row.tags)), row.billing == "metered")
                if account.takes(use):
                    spent += _spent(row)
        return spent

    def _maintain(self) -> None:
        """What can wait: whether another instance has written, and one step of upkeep when there is nothing else to do."""
        is_idle = self._queue.empty() and self._failure is None and not self._waiting and (self._cost is None or not self._unpriced)
        try:
            if self.spending.has_accounts and self._store.was_changed_elsewhere():
                self._sum_up_anew()
            if is_idle and time.monotonic() >= self._tidy_at:
                self._tidy(time.time())
        except (sqlite3.Error, OSError) as error:
            self._tidy_at = time.monotonic() + _TIDY_AGAIN_SECONDS
            if is_locked(error):
                return  # upkeep can wait; rows that cannot be written say so
            self._on_problem("ledger.untidy", f"{self._path}: {error}; old rows stay as they are for a quarter of an hour")

    def _tidy(self, now: float) -> None:
        self._store.open(self._alive)
        oldest_kept = None
        if self._keep_seconds is not None:
            hour = datetime.fromtimestamp(max(now - self._keep_seconds, 0)).astimezone().replace(minute=0, second=0, microsecond=0)
            oldest_kept = hour.timestamp()
        is_more = self._store.tidy(oldest_kept, now - _SETTLED_SECONDS)
        self._tidy_at = time.monotonic() + (_TIDY_SECONDS if is_more else _TIDY_AGAIN_SECONDS)


def _use(opening: Opening) -> Use:
    row = opening.row
    return Use(opening.started_at, row.session, row.gateway, opening.tags, row.billing == "metered")


def _tokens(usage: Usage) -> Spent:
    """Token spend of a request whose price is not known yet."""
    counted = (usage.input, usage.output, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h)
    return Spent(tokens=sum(tokens or 0 for tokens in counted), unpriced=1)


def _spent(row: Row) -> Spent:
    """What a closed row has spent."""
    counted = (row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_5m_tokens, row.cache_write_1h_tokens)
    return Spent(row.cost_nanousd or 0, sum(tokens or 0 for tokens in counted), row.cost_nanousd is None)
