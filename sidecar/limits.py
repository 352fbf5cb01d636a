"""Time limits that count silence, and only time in which this process ran.

A process stands still when its machine is frozen, swaps, or is stopped by a debugger.  The clock goes on meanwhile, and what peers have
sent waits in the sockets.  uvloop calls timers before it reads, so a limit that is simply a timer would blame the peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: A timer that rings so much too late has not been running.  A busy loop is late by milliseconds.
STOOD_STILL_SECONDS = 0.1


class Limit:
    """Calls `expired` once, `seconds` after the last sign of life, or after now where there was none.

    `heard_at` says when that was (`time.monotonic()`).  It is asked after the sockets have been read.
    """

    def __init__(self, seconds: float, expired: Callable[[], None], heard_at: Callable[[], float] = lambda: -math.inf) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._expired = expired
        self._heard_at = heard_at
        self._wait_until(time.monotonic() + seconds)

    def cancel(self) -> None:
        self._handle.cancel()

    def _wait_until(self, due: float) -> None:
        self._due = due
        self._handle: asyncio.Handle = self._loop.call_later(max(due - time.monotonic(), 0.0), self._ring)

    def _ring(self) -> None:
        now = time.monotonic()
        late = now - self._due
        if late > STOOD_STILL_SECONDS:
            self._wait_until(now + min(late, self._seconds))
        else:
            # Two rounds: the first callback runs in this round of the loop, which reads no sooner than at its end.
            self._handle = self._loop.call_soon(self._read_first)

    def _read_first(self) -> None:
        self._handle = self._loop.call_soon(self._judge)

    def _judge(self) -> None:
        due = self._heard_at() + self._seconds
        if due > time.monotonic():
            self._wait_until(due)
        else:
            self._expired()


@contextlib.asynccontextmanager
async def limited(seconds: float | None, heard_at: Callable[[], float] = lambda: -math.inf) -> AsyncIterator[None]:
    """`asyncio.timeout` with a `Limit`.  Raises TimeoutError; None is no limit."""
    async with asyncio.timeout(None) as timeout:
        limit = None if seconds is None else Limit(seconds, lambda: timeout.reschedule(0.0), heard_at)
        try:
            yield
        finally:
            if limit is not None:
                limit.cancel()
