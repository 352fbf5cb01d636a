"""The way to the gateways: open a connection or take an idle one, send the request, hand back the reply.

Idle connections are kept for `IDLE_SECONDS`, below every gateway's own limit, so that a request rarely meets one that is just being
closed.  When it does, it fails: no request is ever sent twice from here.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING

from sidecar.proxy.dial import dial, endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from sidecar.config.settings import Timeouts
    from sidecar.gateways.gateway import Gateway
    from sidecar.proxy.connection import Connection, Reply
    from sidecar.proxy.dial import Endpoint
    from sidecar.wire.fields import Field

#: nginx closes idle connections after 75 s, Node after 5 s but says so; 60 s is the shortest silent limit met among load balancers.
IDLE_SECONDS = 30.0
#: Wall clock against monotonic clock: more than this apart, and the machine has slept.
SLEPT_SECONDS = 5.0


def _wall_and_monotonic() -> tuple[float, float]:
    return time.time(), time.monotonic()


class Upstream:
    """All connections to all gateways.

    `variable` looks up an environment variable that was handed over; `clocks` reads the wall clock and the monotonic one, in seconds.
    """

    def __init__(self, variable: Callable[[str], str | None], clocks: Callable[[], tuple[float, float]] = _wall_and_monotonic) -> None:
        self._variable = variable
        self._clocks = clocks
        self._idle: dict[Endpoint, list[tuple[Connection, asyncio.TimerHandle]]] = {}
        self._clock_gap = self._gap()

    async def send(
        self,
        gateway: Gateway,
        method: str,
        target: str,
        fields: list[Field],
        body: bytes | AsyncIterable[bytes] | None,
        timeouts: Timeouts,
    ) -> Reply:
        """Send one request; its reply, to be closed by the caller, once status and fields are there.  Raises `Refusal`."""
        place = endpoint(gateway, self._variable)
        connection = self._take(place)
        if connection is None:
            connection = await dial(place, timeouts.connect)
            connection.on_free = functools.partial(self._keep, place)
        chunked = body is not None and not any(name.lower() == b"content-length" for name, _ in fields)
        reply = connection.start(_head(place, method, target, fields, chunked=chunked), body, chunked=chunked, is_head=method == "HEAD")
        try:
            await reply.head(timeouts.first_byte)
        except BaseException:
            reply.close()
            raise
        return reply

    def close(self) -> None:
        """Drop the idle connections; those in use are their exchanges' own."""
        for connections in self._idle.values():
            for connection, timer in connections:
                timer.cancel()
                connection.on_lost = None
                connection.close()
        self._idle.clear()

    def _gap(self) -> float:
        wall, monotonic = self._clocks()
        return wall - monotonic

    def _take(self, place: Endpoint) -> Connection | None:
        gap = self._gap()
        if abs(gap - self._clock_gap) > SLEPT_SECONDS:
            # The monotonic clock stands still in a suspend on Linux: idle connections look young while their peers are gone.
            self.close()
        self._clock_gap = gap
        connections = self._idle.get(place, [])
        while connections:
            connection, timer = connections.pop()
            timer.cancel()
            connection.on_lost = None
            if connection.is_open:
                return connection
        return None

    def _keep(self, place: Endpoint, connection: Connection) -> None:
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, connection.close)
        self._idle.setdefault(place, []).append((connection, timer))
        connection.on_lost = lambda lost: self._forget(place, lost)

    def _forget(self, place: Endpoint, lost: Connection) -> None:
        remaining = []
        for connection, timer in self._idle.pop(place, []):
            if connection is lost:
                timer.cancel()
            else:
                remaining.append((connection, timer))
        if remaining:
            self._idle[place] = remaining


def _head(place: Endpoint, method: str, target: str, fields: list[Field], *, chunked: bool) -> bytes:
    line = f"http://{place.authority}{place.path}{target}" if place.is_forwarded else place.path + target
    lines = [f"{method} {line} HTTP/1.1".encode(), b"Host: " + place.authority.encode()]
    if place.is_forwarded and place.proxy is not None and place.proxy[2] is not None:
        lines.append(b"Proxy-Authorization: " + place.proxy[2].encode())
    lines += [name + b": " + value for name, value in fields]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join(lines) + b"\r\n\r\n"
