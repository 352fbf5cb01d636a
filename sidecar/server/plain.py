"""The plain connection: the short way of most agents' requests.

A plain request (`wire/head.py`) has its whole head in one read.  A known head is not parsed again, and a body is received into the buffer
in which it stays.  A connection that brings anything else (chunks, `Expect`, an upgrade, HTTP/1.0, no HTTP at all, or a request to one of
the sidecar's own paths) belongs to aiohttp from then on, together with every byte that it brought.  docs/decisions/agents.md has the
reasons.
"""

from __future__ import annotations

import asyncio
import socket
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol, cast

import structlog

from sidecar.limits import Limit
from sidecar.proxy.agent import AgentRequest
from sidecar.proxy.descriptors import is_reserved
from sidecar.server.own import is_own
from sidecar.server.transports import peer_of, reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sidecar.proxy.admission import KnownHeads

log = structlog.get_logger("sidecar.server")

#: Bytes of one read.  A plain head fits into it, with as much of the body as is left.
HEAD_ROOM = 64 * 1024
#: How long to read on after a body was refused early.  A connection that closed at once would reset, and the agent never see the answer.
LINGER_SECONDS = 2.0
#: A connection without a request, or without the rest of a request's head, is closed after this.
KEEPALIVE_SECONDS = 75.0
#: The first room for a body that did not come together with its head.
LEAST_ROOM = 64 * 1024
#: How often `PlainBody.arriving` says that more of the body has arrived.
SIGN_OF_LIFE_SECONDS = 5.0

_END_OF_HEAD = b"\r\n\r\n"


class State(Enum):
    """What a connection is doing."""

    IDLE = auto()  # waits for a head
    SERVING = auto()  # a request is being answered
    DISCARDING = auto()  # the answer is out before the whole body is in: drops the rest, so that the agent gets to read the answer
    CLOSING = auto()  # sends what is left, reads nothing
    CLOSED = auto()
    HANDED_OVER = auto()  # aiohttp's


class Event(Enum):
    """What can happen to a connection."""

    REQUEST = auto()  # the head of a plain request
    OTHER_REQUEST = auto()  # anything else
    ANSWERED = auto()  # the answer is out, another request may follow
    ANSWERED_LAST = auto()  # the answer is out or has failed, nothing may follow
    ANSWERED_EARLY = auto()  # the answer is out, a part of the request's body is not in
    BODY_DISCARDED = auto()  # the last byte of that body
    TIMEOUT = auto()  # idle, or discarding, for too long
    SHUTDOWN = auto()  # the sidecar takes no more requests
    LOST = auto()  # the agent or the system has closed the connection


#: Every other event in a state is a fault of this program, and a KeyError.
TRANSITIONS = {
    State.IDLE: {
        Event.REQUEST: State.SERVING,
        Event.OTHER_REQUEST: State.HANDED_OVER,
        Event.TIMEOUT: State.CLOSING,
        Event.SHUTDOWN: State.CLOSING,
        Event.LOST: State.CLOSED,
    },
    State.SERVING: {
        Event.ANSWERED: State.IDLE,
        Event.ANSWERED_LAST: State.CLOSING,
        Event.ANSWERED_EARLY: State.DISCARDING,
        Event.LOST: State.CLOSED,
    },
    State.DISCARDING: {Event.BODY_DISCARDED: State.CLOSING, Event.TIMEOUT: State.CLOSING, Event.LOST: State.CLOSED},
    State.CLOSING: {Event.LOST: State.CLOSED},
    State.CLOSED: {},
    State.HANDED_OVER: {},
}


class PlainBody:
    """The body of a plain request.  `received` holds what has arrived, and takes room as it arrives."""

    def __init__(self, connection: PlainConnection, length: int, arrived: bytes) -> None:
        self.length = length
        self.missing = length - len(arrived)
        self.received: bytes | bytearray = bytearray(arrived) if self.missing else arrived
        self._connection = connection
        self._completed: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<PlainBody {self.length - self.missing} of {self.length} bytes>"

    def whole(self) -> bytes | bytearray | None:
        return None if self.missing else self.received

    async def arriving(self) -> AsyncIterator[bytes | bytearray]:
        """Yield the body in one piece, once it is whole.  While it is still arriving an empty piece says so now and then."""
        while self.missing:
            if self._completed is None:
                self._completed = asyncio.get_running_loop().create_future()
                self._connection.read_on()
            before = self.missing
            await asyncio.wait([self._completed], timeout=SIGN_OF_LIFE_SECONDS)
            if 0 < self.missing < before:
                yield b""
        yield self.received

    def room(self) -> memoryview:
        """Return where the next bytes go: never more room than has been filled so far, so that an announced length alone takes none."""
        filled = self.length - self.missing
        if filled == len(self.received):
            self.received += bytes(min(self.missing, max(filled, LEAST_ROOM)))
        return memoryview(self.received)[filled:]

    def add(self, count: int) -> None:
        """Count bytes that have been written into `room`."""
        self.missing -= count
        if not self.missing and self._completed is not None and not self._completed.done():
            self._completed.set_result(None)


class Port(Protocol):
    """What the connections of one port share."""

    heads: KnownHeads
    connections: set[PlainConnection]
    #: Every connection reads its heads into this one buffer, and copies them out of it within the same call.
    room: memoryview
    #: Writes the answer to a request, and returns whether its connection may carry another one.
    serve: Callable[[AgentRequest], Awaitable[bool]]

    def hand_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Give a connection to aiohttp, which reads `data` first."""


class PlainConnection(asyncio.BufferedProtocol):
    """One connection, until it closes or is handed over to aiohttp.  It serves one request after the other."""

    def __init__(self, port: Port) -> None:
        self.state = State.IDLE
        self.peer: str | None = None
        self.task: asyncio.Task[None] | None = None
        self._port = port
        self._transport: asyncio.Transport | None = None
        #: The body of the request that is being answered, as long as a part of it is missing.
        self._body: PlainBody | None = None
        #: What has arrived behind the request that is being answered.
        self._ahead = b""
        self._to_discard = 0
        self._takes_more = True
        #: Done when the agent has room again.  None while it has.
        self._writable: asyncio.Future[None] | None = None
        self._idle_since = 0.0
        self._idle_limit: Limit | None = None

    def __repr__(self) -> str:
        more = f", {self._body!r}" if self._body is not None else f", {self._to_discard} bytes to discard" if self._to_discard else ""
        return f"<PlainConnection {self.state.name} from {self.peer}{', paused' if self.is_paused else ''}{more}>"

    # What the exchange uses (`proxy/agent.py`).

    @property
    def is_gone(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    @property
    def is_paused(self) -> bool:
        return self._writable is not None

    @property
    def write(self) -> Callable[[bytes], None]:
        return self._open_transport().write

    async def drained(self) -> None:
        if self._writable is not None:
            await self._writable
        if self._transport is None:
            raise ConnectionResetError

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None:
            reset(self._transport)

    # What the port and the body use.

    def close_when_idle(self) -> None:
        """Close after the request under way, or now if there is none."""
        self._takes_more = False
        if self.state is State.IDLE:
            self._on(Event.SHUTDOWN)
            self.close()

    def read_on(self) -> None:
        if not self.is_gone:
            self._open_transport().resume_reading()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peer = peer_of(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # Beyond what the process may have open: one answer, and the connection is free for others.
            self._takes_more = not is_reserved(sock.fileno())
        self._port.connections.add(self)
        self._idle_limit = Limit(KEEPALIVE_SECONDS, self._time_out, self._heard_at)

    def get_buffer(self, _sizehint: int) -> memoryview:
        body = self._body
        return body.room() if body is not None else self._port.room

    def buffer_updated(self, nbytes: int) -> None:
        body = self._body
        if body is not None:
            body.add(nbytes)
            if not body.missing:
                self._body = None
        elif self.state is State.IDLE:
            self._begin(bytes(self._port.room[:nbytes]))
        elif self.state is State.SERVING:
            self._ahead += self._port.room[:nbytes]
            if len(self._ahead) > HEAD_ROOM:
                self._open_transport().pause_reading()
        elif self.state is State.DISCARDING:
            self._to_discard -= nbytes
            if self._to_discard <= 0:
                self._on(Event.BODY_DISCARDED)
                self.close()

    def eof_received(self) -> bool:
        """The agent has half-closed.  That counts as gone (`AgentConnection.is_gone`): the transport closes."""
        return False

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._on(Event.LOST)
        self._transport = None
        self._leave()
        self.resume_writing()
        if self.task is not None:
            self.task.cancel()

    # What the states do.

    def _on(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state][event]

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError
        return self._transport

    def _begin(self, data: bytes) -> None:
        """Serve the request that `data` begins with, or hand the connection over if it is not plain."""
        request = self._plain_request(data)
        if request is None:
            self._on(Event.OTHER_REQUEST)
            self._leave()
            self._port.hand_over(self._open_transport(), data)
            return
        self._on(Event.REQUEST)
        if self._body is not None:
            self._open_transport().pause_reading()
        self.task = asyncio.get_running_loop().create_task(self._serve(request))

    def _plain_request(self, data: bytes) -> AgentRequest | None:
        """The request that `data` begins with, and as much of its body as has come.  None if it is not plain."""
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        found = self._port.heads.read(data[:end]) if end >= len(_END_OF_HEAD) else None
        if found is None:
            return None
        known, length = found
        if is_own(known.head):
            return None
        self._ahead = data[end + length :]
        if not length:
            return AgentRequest(known, None, self)
        body = PlainBody(self, length, data[end : end + length])
        if body.missing:
            self._body = body
        return AgentRequest(known, body, self)

    async def _serve(self, request: AgentRequest) -> None:
        takes_more = False
        try:
            takes_more = await self._port.serve(request)
        except ConnectionError:
            pass  # the agent is gone, or the answer was broken off
        except Exception:
            log.exception("request.failed", method=request.head.method)
        finally:
            self._answered(takes_more=takes_more)

    def _answered(self, *, takes_more: bool) -> None:
        """Go on with the next request, or close."""
        body, self._body, self.task = self._body, None, None
        if self._transport is None:
            return
        if body is not None:
            self._on(Event.ANSWERED_EARLY)
            self._to_discard = body.missing
            self.read_on()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._time_out)
        elif not (takes_more and self._takes_more):
            self._on(Event.ANSWERED_LAST)
            self.close()
        else:
            self._on(Event.ANSWERED)
            self._idle_since = time.monotonic()
            if self._ahead:
                self._transport.resume_reading()
                ahead, self._ahead = self._ahead, b""
                self._begin(ahead)

    def _leave(self) -> None:
        """The connection is closed, or aiohttp's."""
        self._port.connections.discard(self)
        if self._idle_limit is not None:
            self._idle_limit.cancel()

    def _heard_at(self) -> float:
        return self._idle_since if self.state is State.IDLE else time.monotonic()

    def _time_out(self) -> None:
        if self.state in {State.IDLE, State.DISCARDING}:
            self._on(Event.TIMEOUT)
            self.close()
