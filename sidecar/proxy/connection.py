"""One HTTP/1.1 connection to a gateway: a request goes out as given, its reply comes back as it arrives.

An `asyncio.Protocol`, together with `reply.py`.  It knows nothing of routes, keys or ledgers.  What the two promise:

- header fields leave and arrive as the bytes they are, in order, repeated names and spellings kept;
- body bytes are handed out as they come, all of them, and only then the error if the gateway broke off;
- that happens within the call that brings them, with no task woken in between; reading stops while the agent is slow;
- a request is never sent twice.

`pool.py` opens, keeps and closes these connections.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, NamedTuple, cast

from sidecar.proxy.reply import Reply
from sidecar.wire.chunk import BEGINNINGS, LONGEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from sidecar.wire.body import Body, Pieces

#: Up to here head and body leave in one write, and so much of a request waits for a slow gateway.  Most of what agents send is below.
ONE_WRITE = 256 * 1024

#: Pieces of a body that are looked at together: events come in packets of their own, and nobody needs to know at once what they say.
PIECES = 24


class Lane(NamedTuple):
    """The short way of a chunk that comes whole: `write` sends it to the agent, `chunks` gets the copy.  At `PIECES` of them the exchange
    is told that they `passed`.
    """

    write: Callable[[bytes], None]
    chunks: list[bytes]


class Connection(asyncio.Protocol):
    """The transport's side.  `exchange` is the request under way; None while the connection idles.

    `on_free` hears when it is fit for another request, `on_lost` when it has closed.  After `idle_seconds` without a request the
    gateway will close it, by its own word.  `heard_at` says when the gateway last sent something (monotonic), if it `is_watched`.

    What an event needs is here, in slots: among hundreds of streams each event meets objects that the others have pushed out of the
    processor's caches, and to fetch those is most of its cost.
    """

    __slots__ = (
        "_chunks",
        "_is_tls",
        "_transport",
        "_writable",
        "_write",
        "exchange",
        "heard_at",
        "idle_seconds",
        "is_watched",
        "on_free",
        "on_lost",
    )

    def __init__(self) -> None:
        self.exchange: Reply | None = None
        self.is_watched = False
        self.heard_at = 0.0
        self._write: Callable[[bytes], None] | None = None
        self._chunks: list[bytes] = []
        self.idle_seconds = math.inf
        self.on_free: Callable[[Connection], None] | None = None
        self.on_lost: Callable[[Connection], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._is_tls = False
        self._writable: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError
        return self._transport

    def close(self) -> None:
        """Leave at once: nothing that is still to be sent is of use to anybody."""
        if self._transport is not None:
            self._transport.abort()

    def start(self, head: bytes, body: Pieces | AsyncIterable[Body] | None, *, chunked: bool, is_head: bool) -> Reply:
        """Send a request.  What fits is written now, the rest by a task that ends with the reply."""
        reply = self.exchange = Reply(self, is_head=is_head)
        transport = self.transport
        if body is None:
            transport.write(head)
            reply.request_sent()
        elif isinstance(body, tuple) and (not self._is_tls or sum(map(len, body)) <= ONE_WRITE):
            transport.writelines((head, *body))
            if self._writable is None:
                reply.request_sent()
        else:
            transport.write(head)
            # In pieces: TLS takes any amount at once and does not say that it has not gone yet.
            content = _pieces(body) if isinstance(body, tuple) else body
            reply.upload = asyncio.get_running_loop().create_task(self._upload(reply, content, chunked=chunked))
        return reply

    async def _upload(self, reply: Reply, body: AsyncIterable[Body | memoryview], *, chunked: bool) -> None:
        try:
            async for piece in body:
                self.transport.write(b"".join((b"%x\r\n" % len(piece), piece, b"\r\n")) if chunked else piece)
                if self._writable is not None:
                    await self._writable
            if chunked:
                self.transport.write(b"0\r\n\r\n")
            if self._writable is not None:
                await self._writable
        except ConnectionResetError:
            pass  # `connection_lost` tells the reply
        except Exception as error:  # noqa: BLE001  # whatever the agent's side of the body raises, the exchange has to end
            reply.upload_failed(error)
        else:
            reply.request_sent()

    def use(self, lane: Lane | None) -> None:
        """What comes next begins a chunk, and one that comes whole goes this way; None: all goes to the exchange."""
        self._write, self._chunks = lane or (None, self._chunks)

    def hold(self) -> None:
        """Read no more for now: the gateway will have to wait."""
        if self.is_open:
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self.is_open:
            self.transport.resume_reading()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        # low=0: `resume_writing` then means that the last byte has been handed to the system.
        self._transport.set_write_buffer_limits(high=ONE_WRITE, low=0)

    def data_received(self, data: bytes) -> None:
        if self.is_watched:
            self.heard_at = time.monotonic()
        exchange, write = self.exchange, self._write
        if exchange is None:
            self.close()  # nobody asked: whatever it is, it must not become the next request's reply
        # A whole chunk (`wire/chunk.py`), most of the time: what the agent would be sent is what has come.
        elif write is not None and len(data) <= LONGEST and data.startswith(BEGINNINGS[len(data)]) and data.endswith(b"\r\n"):
            chunks = self._chunks
            chunks.append(data)
            try:
                write(data)
            except RuntimeError:  # uvloop's word for a transport that has closed; asyncio's take it and say nothing
                exchange.sink_gone()
            if len(chunks) >= PIECES:
                exchange.passed()
        else:
            exchange.feed(data)

    def eof_received(self) -> None:
        """The gateway says no more.  Not left to `connection_lost`: that waits until a gateway has taken the rest of the request."""
        if self.exchange is not None:
            self.exchange.ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.resume_writing()
        if self.exchange is not None:
            self.exchange.ended(exc)
        if self.on_lost is not None:
            self.on_lost(self)

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            writable, self._writable = self._writable, None
            if not writable.done():
                writable.set_result(None)
            if self.exchange is not None and self.exchange.upload is None:
                self.exchange.request_sent()


async def _pieces(body: Pieces) -> AsyncIterator[Body | memoryview]:
    for part in body:
        for start in range(0, len(part), ONE_WRITE):
            yield part[start : start + ONE_WRITE]
