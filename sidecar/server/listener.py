"""The port and all its connections: accepts them, hands over those that are not plain to aiohttp, and closes them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from sidecar.limits import Limit
from sidecar.proxy.admission import KnownHeads
from sidecar.server.accept import Acceptor
from sidecar.server.plain import HEAD_ROOM, KEEPALIVE_SECONDS, PlainConnection

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from sidecar.proxy.agent import AgentRequest


class Listener:
    """The shared parts of its connections (`plain.Port`), and aiohttp's server for the `others`."""

    def __init__(self, serve: Callable[[AgentRequest], Awaitable[bool]], others: web.Server) -> None:
        self.serve = serve
        self.heads = KnownHeads()
        self.connections: set[PlainConnection] = set()
        self.room = memoryview(bytearray(HEAD_ROOM))
        self._others = others
        self._acceptor: Acceptor | asyncio.Server | None = None
        self._without_head: dict[asyncio.Transport, Limit] = {}

    async def start(self, sock: socket.socket, backlog: int) -> None:
        """Accept connections on `sock`, which listens already."""
        if sys.platform == "win32":
            self._acceptor = await asyncio.get_running_loop().create_server(lambda: PlainConnection(self), sock=sock, backlog=backlog)
        else:
            self._acceptor = Acceptor(sock, lambda: PlainConnection(self))

    def hand_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Give the connection to aiohttp, which reads `data` first."""
        self._expect_head(transport)
        protocol = self._others()
        transport.pause_reading()  # otherwise uvloop goes on reading into the old protocol's buffer
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        protocol.data_received(data)

    def _expect_head(self, transport: asyncio.Transport) -> None:
        """Close the connection unless aiohttp reads a head on it in time.  aiohttp has no limit of its own before the first request."""

        def expired() -> None:
            del self._without_head[transport]
            transport.close()

        self._without_head[transport] = Limit(KEEPALIVE_SECONDS, expired)

    def head_came(self, transport: asyncio.Transport | None) -> None:
        """Stop waiting for a head: aiohttp has read one, and its own limit for idle connections holds from now on."""
        if transport is not None and (limit := self._without_head.pop(transport, None)) is not None:
            limit.cancel()

    def stop(self) -> None:
        """Stop listening.  The connections stay."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def close_idle(self) -> None:
        """Close every connection after the request under way on it, or now if there is none."""
        self._others.pre_shutdown()
        for connection in [*self.connections]:
            connection.close_when_idle()

    async def close(self, seconds: float) -> None:
        """Close everything.  Requests under way get `seconds` to end by themselves."""
        self.stop()
        self.close_idle()
        tasks = {connection.task for connection in self.connections if connection.task is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        await self._others.shutdown(seconds)
        for limit in self._without_head.values():
            limit.cancel()
        for connection in [*self.connections]:
            connection.close()
