"""The connections to one endpoint that wait for a request: the one used last is the first one taken.

Idle ones are kept for `IDLE_SECONDS`, below every gateway's own limit, so that a request rarely meets one that is just being closed.
While the endpoint is in use one is held ready, opened before anybody needs it.  Nothing is ever sent on it unasked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from sidecar.errors import Refusal
from sidecar.limits import limited
from sidecar.proxy.dial import dial

if TYPE_CHECKING:
    from sidecar.proxy.connection import Connection
    from sidecar.proxy.dial import Endpoint

#: nginx closes idle connections after 75 s, Node after 5 s but says so; 60 s is the shortest silent limit met among load balancers.
IDLE_SECONDS = 30.0
#: Before the moment that a gateway has named in `Keep-Alive` its connections are not used any more: a request has to get there first.
MARGIN_SECONDS = 1.0
#: Claude Code opens one connection for each of its agents, some ten at once; a thousand streams that end together leave no more.
MOST_IDLE = 64
#: One is held ready for so long after the last request.  Prompt caches live for five minutes: a turn that comes later is slow anyway.
READY_SECONDS = 300.0
#: A gateway that hangs up sooner than this does not want idle connections.
UNWANTED_SECONDS = 10.0
#: The idle ones are looked at no more often than this.
SWEEP_SECONDS = 1.0


class Pool:
    """Used from one event loop.  After a failure none is opened unasked until a request has got through."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._idle: dict[Connection, float] = {}  # since when, on the monotonic clock; the oldest first
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._is_awaited = False
        self._connect_seconds: float | None = None
        self._used_at = 0.0
        self._is_reachable = True
        self._is_closed = False

    def take(self) -> Connection | None:
        """An idle connection; None when there is none."""
        now = self._used_at = time.monotonic()
        while self._idle:
            connection, since = self._idle.popitem()
            if connection.is_open and now - since < connection.idle_seconds - MARGIN_SECONDS:
                return connection
            connection.close()
        return None

    async def open(self, seconds: float | None) -> Connection:
        """The connection that is on its way already, or else another one, within `seconds`.  Raises `Refusal`."""
        self._connect_seconds = seconds
        if self._opening is not None and not self._is_awaited:
            self._is_awaited = True
            begun = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with limited(seconds):
                    await asyncio.wait({self._opening})
            if (connection := self.take()) is not None:
                return connection
            seconds = None if seconds is None else max(seconds - (time.monotonic() - begun), 0.0)
        return await self._dial(seconds)

    def warm(self, seconds: float | None) -> None:
        """Somebody is about to ask: have a connection ready, opened within `seconds`, unless one waits or is on its way."""
        self._connect_seconds = seconds
        self._used_at = time.monotonic()
        self._hold_ready()

    def drop_idle(self) -> None:
        for connection in self._idle:
            connection.on_lost = None
            connection.close()
        self._idle.clear()

    def close(self) -> None:
        """Drop the idle connections for good; those in use are their exchanges' own."""
        self._is_closed = True
        self.drop_idle()
        if self._opening is not None:
            self._opening.cancel()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()

    async def _dial(self, seconds: float | None) -> Connection:
        try:
            connection = await dial(self.endpoint, seconds)
        except Refusal:
            self._is_reachable = False
            raise
        self._is_reachable = True
        connection.on_free = self._freed
        connection.on_lost = self._lost
        return connection

    def _freed(self, connection: Connection) -> None:
        self._used_at = time.monotonic()
        self._keep(connection, self._used_at)

    def _keep(self, connection: Connection, now: float) -> None:
        if self._is_closed:
            connection.close()
            return
        self._idle[connection] = now
        if len(self._idle) > MOST_IDLE:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            oldest.close()
        if self._sweep_timer is None:
            self._sweep_in(IDLE_SECONDS)

    def _sweep_in(self, seconds: float) -> None:
        self._sweep_timer = asyncio.get_running_loop().call_later(max(seconds, SWEEP_SECONDS), self._sweep)

    def _sweep(self) -> None:
        """One timer for all of them, which no request touches."""
        self._sweep_timer = None
        now = time.monotonic()
        for connection, since in self._idle.items():
            if since + IDLE_SECONDS > now:
                self._sweep_in(since + IDLE_SECONDS - now)
                break
            connection.close()  # `_lost` hears of it in the loop's next round

    def _lost(self, connection: Connection) -> None:
        since = self._idle.pop(connection, None)
        now = time.monotonic()
        if since is not None and now - since >= UNWANTED_SECONDS and now - self._used_at < READY_SECONDS:
            self._hold_ready()

    def _hold_ready(self) -> None:
        if self._is_reachable and not self._is_closed and not self._idle and self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._dial(self._connect_seconds))
            self._opening.add_done_callback(self._opened)

    def _opened(self, opening: asyncio.Task[Connection]) -> None:
        """A failure is told by the request that meets it."""
        self._opening = None
        self._is_awaited = False
        if not opening.cancelled() and opening.exception() is None:
            self._keep(opening.result(), time.monotonic())
