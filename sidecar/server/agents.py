"""The agents' connections.  What agents send all day is taken here; everything else goes to aiohttp, together with its connection.

Taken here are plain requests (`wire/head.py`) whose head comes in one piece: heads that are known are not parsed again, and bodies are
received where they stay.  A connection that brings anything else (chunks, `Expect`, an upgrade, HTTP/1.0, what is no HTTP) is aiohttp's
from then on, with every byte of it.  Why not all of it is aiohttp's: docs/decisions/agents.md.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import TYPE_CHECKING, cast

import structlog

from sidecar.limits import Limit
from sidecar.proxy.descriptors import are_scarce
from sidecar.server.accept import Acceptor
from sidecar.wire.head import Heads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp import web

    from sidecar.proxy.answer import Answer
    from sidecar.proxy.incoming import Incoming
    from sidecar.wire.head import Head

    Handler = Callable[[Head, Incoming], Awaitable[Answer]]

log = structlog.get_logger("sidecar.server")

#: A head has to come within this, and so much of the body with it.
HEAD_ROOM = 64 * 1024
#: Seconds to go on reading a body that was answered early, so that the agent gets to see the answer.
LINGER_SECONDS = 2.0
#: A connection without a request, or without the rest of a request's head, is closed after this.
KEEPALIVE_SECONDS = 75.0
#: The first room for a body that did not come together with its head.
LEAST_ROOM = 64 * 1024
#: How often somebody who waits for a body hears that more of it has come.
SIGN_OF_LIFE_SECONDS = 5.0


class PlainRequest:
    """A plain request behind its head.

    `body` holds what has come of it.  The rest stays in the socket until somebody asks for it, which only happens once the caller has been
    admitted, and takes room as it arrives.
    """

    keep_alive = True

    def __init__(self, connection: AgentConnection, head: Head, length: int, arrived: bytes) -> None:
        self.protocol = self.writer = connection
        self.head = head
        self.content_length = length
        self.missing = length - len(arrived)
        self.body: bytes | bytearray = bytearray(arrived) if self.missing else arrived
        self._completed: asyncio.Future[None] | None = None

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def version(self) -> tuple[int, int]:
        return self.head.version

    @property
    def transport(self) -> asyncio.Transport | None:
        return self.protocol.transport

    @property
    def remote(self) -> str | None:
        return self.protocol.remote

    @property
    def content(self) -> PlainRequest:
        return self

    @property
    def can_read_body(self) -> bool:
        return self.content_length > 0

    def is_eof(self) -> bool:
        return not self.missing

    def read_nowait(self) -> bytes | bytearray:
        return self.body

    async def iter_any(self) -> AsyncIterator[bytes | bytearray]:
        """The body in one piece, once it is whole.  While it is still coming an empty piece says so now and then."""
        while self.missing:
            if self._completed is None:
                self._completed = asyncio.get_running_loop().create_future()
                self.protocol.read_on()
            before = self.missing
            await asyncio.wait([self._completed], timeout=SIGN_OF_LIFE_SECONDS)
            if 0 < self.missing < before:
                yield b""
        yield self.body

    def room(self) -> memoryview:
        """Where the next bytes go.  Never more than has come so far, so that a length that is only announced takes none."""
        filled = self.content_length - self.missing
        if filled == len(self.body):
            self.body += bytes(min(self.missing, max(filled, LEAST_ROOM)))
        return memoryview(self.body)[filled:]

    def received(self, count: int) -> None:
        self.missing -= count
        if not self.missing and self._completed is not None and not self._completed.done():
            self._completed.set_result(None)


class AgentConnection(asyncio.BufferedProtocol):
    """One connection, until it closes or is handed over to a protocol of `others`."""

    def __init__(self, listener: Listener) -> None:
        self.transport: asyncio.Transport | None = None
        self.remote: str | None = None
        self.writing_paused = False
        self.task: asyncio.Task[None] | None = None
        self._listener = listener
        self._request: PlainRequest | None = None
        self._ahead = b""
        self._to_discard = 0
        self._is_last = False
        self._writable: asyncio.Future[None] | None = None
        self._idle_since = 0.0
        self._idle_limit: Limit | None = None

    def close_when_idle(self) -> None:
        """The request under way is the last one."""
        self._is_last = True
        if self.task is None and self.transport is not None:
            self.transport.close()

    def read_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    async def drain(self) -> None:
        """Wait until the agent has read enough.  Raises ConnectionResetError when it is gone."""
        if self.transport is None:
            raise ConnectionResetError
        if self.writing_paused:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.remote = (transport.get_extra_info("peername") or (None,))[0]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._listener.connections.add(self)
        # Beyond what the process may have open: one answer, and the connection is free for others.
        self._is_last = are_scarce()
        self._idle_limit = Limit(KEEPALIVE_SECONDS, self._close_idle, self._heard_at)

    def get_buffer(self, _sizehint: int) -> memoryview:
        request = self._request
        return request.room() if request is not None and request.missing else self._listener.room

    def buffer_updated(self, nbytes: int) -> None:
        request = self._request
        if request is not None and request.missing:
            request.received(nbytes)
        elif self._to_discard:
            self._discard(nbytes)
        elif self.task is not None:
            self._ahead += self._listener.room[:nbytes]
            if len(self._ahead) > HEAD_ROOM and self.transport is not None:
                self.transport.pause_reading()
        else:
            self._take(bytes(self._listener.room[:nbytes]))

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.transport = None
        self._listener.connections.discard(self)
        if self._idle_limit is not None:
            self._idle_limit.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(ConnectionResetError())
        if self.task is not None:
            self.task.cancel()

    # One request after the other.

    def _take(self, data: bytes) -> None:
        request = self._plain(data)
        if request is None:
            self._hand_over(data)
        else:
            self._request = request
            if request.missing and self.transport is not None:
                self.transport.pause_reading()
            self.task = asyncio.get_running_loop().create_task(self._serve(request))

    def _plain(self, data: bytes) -> PlainRequest | None:
        """The request that begins with `data`, what came of its body received; None if it is not plain."""
        end = data.find(b"\r\n\r\n") + len(b"\r\n\r\n")
        found = self._listener.heads.read(data[:end]) if end >= len(b"\r\n\r\n") else None
        if found is None:
            return None
        head, length = found
        self._ahead = data[end + length :]
        return PlainRequest(self, head, length, data[end : end + length])

    def _hand_over(self, data: bytes) -> None:
        transport = self.transport
        if transport is None:
            return
        self._listener.connections.discard(self)
        if self._idle_limit is not None:
            self._idle_limit.cancel()
        self._listener.expect_head(transport)
        other = self._listener.others()
        transport.pause_reading()  # uvloop reads on in the old way otherwise
        transport.set_protocol(other)
        other.connection_made(transport)
        transport.resume_reading()
        other.data_received(data)

    async def _serve(self, request: PlainRequest) -> None:
        try:
            answer = await self._listener.handle(request.head, request)
            await answer.prepare(request)
            await answer.write_eof()
        except ConnectionError:
            self._end(stay=False)
        except Exception:
            log.exception("request.failed", method=request.method)
            self._end(stay=False)
        except BaseException:
            self._end(stay=False)
            raise
        else:
            self._end(stay=bool(answer.keep_alive) and not self._is_last)

    def _end(self, *, stay: bool) -> None:
        """The answer is written: on to the next request, or good-bye."""
        request, self._request, self.task = self._request, None, None
        transport = self.transport
        if transport is None:
            return
        if request is not None and request.missing:
            self._to_discard = request.missing
            self.read_on()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.close)
        elif not stay:
            transport.close()
        else:
            self._idle_since = time.monotonic()
            if self._ahead:
                transport.resume_reading()
                ahead, self._ahead = self._ahead, b""
                self._take(ahead)

    def _discard(self, count: int) -> None:
        """The rest of a body that was answered before it came.  The connection ends with it."""
        self._to_discard -= count
        if self._to_discard <= 0 and self.transport is not None:
            self.transport.close()

    def _heard_at(self) -> float:
        return time.monotonic() if self.task is not None else self._idle_since

    def _close_idle(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Listener:
    """The port, and all connections to it.  `handle` answers requests, `others` serves those that are not plain."""

    def __init__(self, handle: Handler, others: web.Server) -> None:
        self.handle = handle
        self.others = others
        self.heads = Heads()
        self.connections: set[AgentConnection] = set()
        #: Where heads are received: read out at once, within the call that says that something has come.
        self.room = memoryview(bytearray(HEAD_ROOM))
        self._acceptor: Acceptor | asyncio.Server | None = None
        self._without_head: dict[asyncio.Transport, Limit] = {}

    async def start(self, sock: socket.socket, backlog: int) -> None:
        """Accept connections on `sock`, which listens already."""
        if sys.platform == "win32":
            self._acceptor = await asyncio.get_running_loop().create_server(lambda: AgentConnection(self), sock=sock, backlog=backlog)
        else:
            self._acceptor = Acceptor(sock, lambda: AgentConnection(self))

    def expect_head(self, transport: asyncio.Transport) -> None:
        """Close the connection unless the server library has read a head on it in time.  It sets no limit of its own before the first."""

        def expired() -> None:
            del self._without_head[transport]
            transport.close()

        self._without_head[transport] = Limit(KEEPALIVE_SECONDS, expired)

    def head_came(self, transport: asyncio.Transport | None) -> None:
        if transport is not None and (limit := self._without_head.pop(transport, None)) is not None:
            limit.cancel()

    def stop(self) -> None:
        """Free the port; the connections stay."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def close_idle(self) -> None:
        """Every connection ends with the request that is under way on it, if there is one."""
        self.others.pre_shutdown()
        for connection in [*self.connections]:
            connection.close_when_idle()

    async def close(self, seconds: float) -> None:
        """End all, the requests under way after so long."""
        self.stop()
        self.close_idle()
        tasks = {connection.task for connection in self.connections if connection.task is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        await self.others.shutdown(seconds)
        for limit in self._without_head.values():
            limit.cancel()
        for connection in [*self.connections]:
            if connection.transport is not None:
                connection.transport.close()
