"""Agents' connections: plain requests are served here, every other connection is handed over to aiohttp.

A plain request (`wire/head.py`) has its whole head in one read.  A known head is not parsed again, and a body is received into the buffer
in which it stays.  A connection that brings anything else (chunks, `Expect`, an upgrade, HTTP/1.0, no HTTP at all) belongs to aiohttp from
then on, together with every byte that it brought.  docs/decisions/agents.md gives the reasons.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import TYPE_CHECKING, cast

import structlog

from sidecar.limits import Limit
from sidecar.proxy.descriptors import is_reserved
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

#: Bytes of one read.  A plain head fits into it, with as much of the body as is left.
HEAD_ROOM = 64 * 1024
#: How long to read on after a body was refused early.  A connection that closed at once would reset, and the agent never see the answer.
LINGER_SECONDS = 2.0
#: A connection without a request, or without the rest of a request's head, is closed after this.
KEEPALIVE_SECONDS = 75.0
#: The first room for a body that did not come together with its head.
LEAST_ROOM = 64 * 1024
#: How often `iter_any` tells its caller that more of the body has come.
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
    """One connection, until it closes or is handed over to aiohttp.  It serves one request after the other."""

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
        """Close after the request under way, or now if there is none."""
        self._is_last = True
        if self.task is None and self.transport is not None:
            self.transport.close()

    def read_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    async def drain(self) -> None:
        """Wait until there is room to write again.  Raises ConnectionResetError when the agent is gone."""
        if self.transport is None:
            raise ConnectionResetError
        if self.writing_paused:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.remote = (transport.get_extra_info("peername") or (None,))[0]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # Beyond what the process may have open: one answer, and the connection is free for others.
            self._is_last = is_reserved(sock.fileno())
        self._listener.connections.add(self)
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
            self._begin(bytes(self._listener.room[:nbytes]))

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

    def _begin(self, data: bytes) -> None:
        """Serve the request that `data` begins with, or hand the connection over if it is not plain."""
        request = self._plain_request(data)
        if request is None:
            self._hand_over(data)
        else:
            self._request = request
            if request.missing and self.transport is not None:
                self.transport.pause_reading()
            self.task = asyncio.get_running_loop().create_task(self._serve(request))

    def _plain_request(self, data: bytes) -> PlainRequest | None:
        """The request that `data` begins with, and as much of its body as has come.  None if it is not plain."""
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
        transport.pause_reading()  # otherwise uvloop goes on reading into the old protocol's buffer
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
        """The answer is written.  Go on with the next request if the connection is to `stay`, or close it."""
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
                self._begin(ahead)

    def _discard(self, count: int) -> None:
        """Drop bytes of a body that was refused before it had come.  The connection closes after the last one."""
        self._to_discard -= count
        if self._to_discard <= 0 and self.transport is not None:
            self.transport.close()

    def _heard_at(self) -> float:
        return time.monotonic() if self.task is not None else self._idle_since

    def _close_idle(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Listener:
    """The port and all its connections.  `handle` answers plain requests, `others` is aiohttp's server for all the rest."""

    def __init__(self, handle: Handler, others: web.Server) -> None:
        self.handle = handle
        self.others = others
        self.heads = Heads()
        self.connections: set[AgentConnection] = set()
        #: Every connection reads its heads into this one buffer, and copies them out of it within the same call.
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
        """Close the connection unless aiohttp reads a head on it in time.  aiohttp has no limit of its own before the first request."""

        def expired() -> None:
            del self._without_head[transport]
            transport.close()

        self._without_head[transport] = Limit(KEEPALIVE_SECONDS, expired)

    def head_came(self, transport: asyncio.Transport | None) -> None:
        """Aiohttp has read a head: from now on its own limit for idle connections holds."""
        if transport is not None and (limit := self._without_head.pop(transport, None)) is not None:
            limit.cancel()

    def stop(self) -> None:
        """Stop listening.  The connections stay."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None

    def close_idle(self) -> None:
        """Close every connection after the request under way on it, or now if there is none."""
        self.others.pre_shutdown()
        for connection in [*self.connections]:
            connection.close_when_idle()

    async def close(self, seconds: float) -> None:
        """Close everything.  Requests under way get `seconds` to end by themselves."""
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
