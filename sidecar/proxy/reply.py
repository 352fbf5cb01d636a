"""A gateway's reply on its way to the agent: its body is handed on in the call that brings it.

What is wrong with a reply is a `Refusal` before its head is whole, and a cut behind it, after every byte that came.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from sidecar.errors import Refusal
from sidecar.limits import Limit, limited
from sidecar.wire.message import Message

if TYPE_CHECKING:
    from sidecar.proxy.connection import Connection, Lane

#: Bytes of a body that may wait for their sink before the gateway has to; a system reads several megabytes in one go.
HIGH_WATER = 64 * 1024


class ReplyCut(Exception):
    """The gateway broke off in the middle of its reply; every byte received has been handed out before."""


class IdleTimeout(Exception):
    """The gateway sent nothing for as long as `timeouts.idle` allows."""


class Sink(Protocol):
    """Where a reply's body goes: `take` what there is, `end` with what is left, perhaps nothing.  Neither waits; once one has said that
    the sink is full, no more comes until `drained` returns.  Chunks that come whole go by its `lane`, if it has one; `passed` is called
    for every few of them, and says whether it is full, too.

    All raise ConnectionError when nobody is there any more.
    """

    @property
    def lane(self) -> Lane | None: ...

    def take(self, data: bytes) -> bool: ...

    def passed(self) -> bool: ...

    def end(self, data: bytes) -> None: ...

    async def drained(self) -> None: ...


class Reply:
    """A gateway's answer to the request on this connection.  `head()` first, then `pour()`; `close()` when done, finished or not."""

    # What every reply begins with.
    upload: asyncio.Task[None] | None = None
    _sent = False
    _first_byte_seconds: float | None = None
    _first_byte_timer: Limit | None = None
    _error: Exception | None = None
    _sink: Sink | None = None
    _sink_error: ConnectionError | None = None
    _is_poured = False
    _is_held = False
    _waiter: asyncio.Future[None] | None = None

    def __init__(self, connection: Connection, *, is_head: bool) -> None:
        self._connection = connection
        self._message = Message(is_head=is_head)

    # What the exchange calls.

    async def head(self, first_byte_seconds: float | None) -> Message:
        """Wait for status and fields.  Raises `Refusal`: `timeout_first_byte`, `upstream_closed` or `bad_reply`."""
        self._first_byte_seconds = first_byte_seconds
        if self._sent:
            self._start_first_byte_timer()
        while not self._message.has_head:
            if self._error is not None:
                raise self._error
            await self._wait()
        self._stop_first_byte_timer()
        return self._message

    async def pour(self, sink: Sink, idle_seconds: float | None = None) -> None:
        """Give `sink` the whole body, each byte as it comes.  Raises `ReplyCut`, `IdleTimeout`, and what the sink raises."""
        self._sink = sink
        self._connection.is_watched = idle_seconds is not None
        if not self._message.body and not self._message.is_complete:
            sink.take(b"")  # what stands before the body need not wait for it
        if self._is_held:
            self._go_on()
        self._flow()
        self._choose_way()
        while not self._is_poured:
            if self._sink_error is not None:
                raise self._sink_error
            if self._error is not None:
                raise ReplyCut from self._error
            if self._is_held:
                await sink.drained()
                self._go_on()
            else:
                await self._wait_for_more(idle_seconds)

    def close(self) -> None:
        """Let go.  The connection stays fit for another request only if both messages came to their end."""
        self._stop_first_byte_timer()
        if self.upload is not None:
            self.upload.cancel()
        if self._is_held:
            self._go_on()
        message, connection = self._message, self._connection
        message.close()
        self._sink = None  # which perhaps holds us
        connection.exchange = None
        connection.is_watched = False
        connection.use(None)
        if message.idle_seconds is not None:
            connection.idle_seconds = message.idle_seconds
        if not (message.is_reusable and self._sent and self._error is None):
            connection.close()
        elif connection.is_open and connection.on_free is not None:
            connection.on_free(connection)
        # Their tracebacks hold the exchange's frames, and those this reply: a circle around the request's body.
        self._error = self._sink_error = None

    # What the connection calls.

    def request_sent(self) -> None:
        """The last byte of the request has gone: from here on the gateway's silence counts."""
        self._sent = True
        self._start_first_byte_timer()

    def upload_failed(self, error: Exception) -> None:
        """The agent's side broke off: the gateway is let go, and not blamed."""
        self._fail(error if self._error is None else self._error)

    def feed(self, data: bytes) -> None:
        if self._error is not None:
            return
        try:
            self._message.feed(data)
        except Refusal as error:
            self._fail(error)
        self._flow()
        self._choose_way()

    def passed(self) -> None:
        """Some chunks have gone by the lane."""
        try:
            if self._sink is None or not self._sink.passed():
                return
            self._hold()
        except ConnectionError as error:
            self._sink_error = error
        self._wake()

    def sink_gone(self) -> None:
        """A chunk could not go by the lane: nobody is there any more."""
        self._connection.use(None)
        self._sink_error = ConnectionResetError()
        self._wake()

    def ended(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._error is None:
            try:
                self._message.end(politely=exc is None)
            except Refusal as error:
                self._error = error
        self._flow()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._connection.use(None)
        self._connection.close()
        self._wake()

    def _flow(self) -> None:
        """Hand on what there is, the end with it, and up with the task if it is concerned."""
        sink, message = self._sink, self._message
        if sink is None:
            if not self._is_held and sum(map(len, message.body)) > HIGH_WATER:
                self._hold()
        elif (message.body or message.is_complete) and not self._is_poured:
            data = b"".join(message.body)
            message.body.clear()
            try:
                if message.is_complete:
                    sink.end(data)
                    self._is_poured = True
                elif sink.take(data):
                    self._hold()
                elif self._error is None:
                    return
            except ConnectionError as error:
                self._sink_error = error
        self._wake()

    def _choose_way(self) -> None:
        """Where a chunk begins, one that comes whole goes by the sink's lane; all else comes here."""
        if self._message.is_chunked:
            sink = self._sink if self._message.is_at_chunk and self._error is None else None
            self._connection.use(None if sink is None else sink.lane)

    def _hold(self) -> None:
        self._is_held = True
        self._connection.hold()

    def _go_on(self) -> None:
        self._is_held = False
        self._connection.go_on()

    async def _wait_for_more(self, idle_seconds: float | None) -> None:
        if idle_seconds is None:
            await self._wait()
            return
        connection = self._connection
        try:
            async with limited(idle_seconds, lambda: connection.heard_at):
                await self._wait()
        except TimeoutError:
            raise IdleTimeout from None

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _start_first_byte_timer(self) -> None:
        seconds = self._first_byte_seconds
        if seconds is not None and not self._message.has_head and self._first_byte_timer is None:
            late = Refusal(
                "timeout_first_byte",
                f"the gateway did not begin to answer within {seconds:g} s",
                "timeouts.first_byte in the configuration sets this limit",
            )
            self._first_byte_timer = Limit(seconds, lambda: self._fail(late))

    def _stop_first_byte_timer(self) -> None:
        if self._first_byte_timer is not None:
            self._first_byte_timer.cancel()
            self._first_byte_timer = None
