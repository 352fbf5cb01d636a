"""The way to the gateways: take an idle connection or open one, send the request, hand back the reply.

A request may meet a connection that is just being closed.  Then it fails: no request is ever sent twice from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import Refusal
from sidecar.proxy.dial import endpoint
from sidecar.proxy.pool import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from sidecar.config.settings import Timeouts
    from sidecar.gateways.gateway import Gateway
    from sidecar.proxy.connection import Connection
    from sidecar.proxy.dial import Endpoint
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.trust import Trust
    from sidecar.wire.body import Body, Pieces
    from sidecar.wire.fields import Field

#: Wall clock against monotonic clock: more than this apart, and the machine has slept.
SLEPT_SECONDS = 5.0


def _wall_and_monotonic() -> tuple[float, float]:
    return time.time(), time.monotonic()


class _Way(NamedTuple):
    """What all requests to one gateway share.  `start` goes before every target, `own` is the line or lines for host and proxy."""

    gateway: Gateway
    trust: Trust | None
    pool: Pool
    start: str
    own: bytes


class Upstream:
    """All connections to all gateways.

    `variable` looks up an environment variable that was handed over; `clocks` reads the wall clock and the monotonic one, in seconds.
    """

    def __init__(self, variable: Callable[[str], str | None], clocks: Callable[[], tuple[float, float]] = _wall_and_monotonic) -> None:
        self._variable = variable
        self._clocks = clocks
        self._ways: dict[str, _Way] = {}
        self._pools: dict[Endpoint, Pool] = {}
        self._clock_gap = self._gap()

    async def send(
        self,
        gateway: Gateway,
        method: str,
        target: str,
        fields: list[Field],
        body: Pieces | AsyncIterable[Body] | None,
        connect_seconds: float | None,
    ) -> Reply:
        """Send one request.  Its reply, of which nothing is known yet, is to be closed by the caller.  Raises `Refusal`.

        A body that is there has its length in the fields; one that is still to come is chunked where they tell none.
        """
        way = self._way(gateway)
        self._notice_sleep()
        connection = way.pool.take() or await _opened(way, connect_seconds)
        streamed = body is not None and not isinstance(body, tuple)
        chunked = streamed and not any(name.lower() == b"content-length" for name, _ in fields)
        return connection.start(_head(way, method, target, fields, chunked=chunked), body, chunked=chunked, is_head=method == "HEAD")

    async def prepare(self, gateway: Gateway) -> None:
        """Read the certificates (30 ms of CPU for the system's 144) in a thread, before the first request has to."""
        with contextlib.suppress(Refusal):
            await asyncio.to_thread(endpoint, gateway, self._variable)

    def warm(self, gateway: Gateway, timeouts: Timeouts) -> None:
        """An agent has been started: have a connection ready for its first request.  What is in the way, that request will tell."""
        with contextlib.suppress(Refusal):
            way = self._way(gateway)
            self._notice_sleep()
            way.pool.warm(timeouts.connect)

    def look_again(self) -> None:
        """Variables have changed: the next request to each gateway may have to go another way."""
        self._ways.clear()

    def close(self) -> None:
        """Drop the idle connections, and those being opened; those in use are their exchanges' own."""
        for pool in self._pools.values():
            pool.close()

    def _way(self, gateway: Gateway) -> _Way:
        """Worked out once for each gateway of a configuration, and again when variables or a CA file change."""
        way = self._ways.get(gateway.name)
        if way is None or way.gateway is not gateway or (way.trust is not None and not way.trust.is_current()):
            way = self._ways[gateway.name] = self._find(gateway)
            in_use = {way.pool.endpoint for way in self._ways.values()}
            for place in self._pools.keys() - in_use:
                self._pools.pop(place).close()
        return way

    def _find(self, gateway: Gateway) -> _Way:
        place = endpoint(gateway, self._variable)
        pool = self._pools.get(place)
        if pool is None:
            pool = self._pools[place] = Pool(place)
        own = f"Host: {place.authority}"
        if place.is_forwarded and place.proxy is not None and place.proxy[2] is not None:
            own += f"\r\nProxy-Authorization: {place.proxy[2]}"
        start = f"http://{place.authority}{place.path}" if place.is_forwarded else place.path
        return _Way(gateway, place.trust, pool, start, own.encode())

    def _gap(self) -> float:
        wall, monotonic = self._clocks()
        return wall - monotonic

    def _notice_sleep(self) -> None:
        gap = self._gap()
        if abs(gap - self._clock_gap) > SLEPT_SECONDS:
            # The monotonic clock stands still in a suspend on Linux: idle connections look young while their peers are gone.
            for pool in self._pools.values():
                pool.drop_idle()
        self._clock_gap = gap


async def _opened(way: _Way, seconds: float | None) -> Connection:
    """A new connection.  Raises `Refusal`, which names the gateway and its address."""
    try:
        return await way.pool.open(seconds)
    except Refusal as refusal:
        what = f"gateway {way.gateway.name!r} ({way.gateway.base_url}) cannot be reached: {refusal.message}"
        raise Refusal(refusal.code, what, refusal.hint, retry=refusal.retry, status=refusal.status) from None


def _head(way: _Way, method: str, target: str, fields: list[Field], *, chunked: bool) -> bytes:
    lines = [f"{method} {way.start}{target} HTTP/1.1".encode(), way.own, *map(b": ".join, fields)]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join(lines) + b"\r\n\r\n"
