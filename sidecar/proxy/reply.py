"""A gateway's reply as it arrives: parsed, and its body handed on in the call that brings it.

The parser is llhttp (httptools).  Field values are the bytes they are; what is wrong with a reply is a `Refusal` before its head is
whole, and a cut behind it, after every byte that came.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING, Protocol

import httptools

from sidecar.errors import Refusal
from sidecar.wire.fields import are_legal, by_name, every

if TYPE_CHECKING:
    from sidecar.proxy.connection import Connection, Lane
    from sidecar.wire.fields import ByName, Field

#: A reply's head may be as large as this; nginx and Node stop far below.
MAX_HEAD = 256 * 1024

#: Bytes of a body that may wait for their sink before the gateway has to; a system reads several megabytes in one go.
HIGH_WATER = 64 * 1024

_KEEP_ALIVE_TIMEOUT = re.compile(rb"\btimeout *= *(\d{1,9})\b", re.IGNORECASE)

# Gateways in the wild end lines with a bare LF, fold fields, and put a space after a chunk's size; agents reading them directly
# would accept that, so it is no reason to refuse a reply.  What changes where a message ends stays strict.
_LENIENT = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_optional_lf_after_cr": False,
    "lenient_spaces_after_chunk_size": True,
}


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
    """A gateway's answer, `named` its fields by name.  `head()` first, then `pour()`; `close()` when done, finished or not."""

    # What every reply begins with.
    status = 0
    reason = b""
    upload: asyncio.Task[None] | None = None
    is_complete = False
    is_reusable = False
    _head_bytes = 0
    _has_head = False
    _is_chunked = False
    _until_close = False
    _sent = False
    _first_byte_seconds: float | None = None
    _first_byte_timer: asyncio.TimerHandle | None = None
    _error: Exception | None = None
    _sink: Sink | None = None
    _sink_error: ConnectionError | None = None
    _at_chunk = False
    _is_over = False  # complete, or failed
    _is_poured = False
    _is_held = False
    _last = 0
    _waiter: asyncio.Future[None] | None = None

    def __init__(self, connection: Connection, *, is_head: bool) -> None:
        self.fields: list[Field] = []
        self.named: ByName = {}
        self._received: list[bytes] = []
        self._in_chunk = [False, True]  # the first says whether we are in one: the parser turns them round where one begins or ends
        # For the parser, which calls these for every event: methods of ours would cost as much again as the parsing.
        self.on_body = self._received.append
        self.on_chunk_header = self.on_chunk_complete = self._in_chunk.reverse
        self._connection = connection
        self._is_head = is_head
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENT)

    # What the exchange calls.

    async def head(self, first_byte_seconds: float | None) -> None:
        """Wait for status and fields.  Raises `Refusal`: `timeout_first_byte`, `upstream_closed` or `bad_reply`."""
        self._first_byte_seconds = first_byte_seconds
        if self._sent:
            self._start_first_byte_timer()
        while not self._has_head:
            if self._error is not None:
                raise self._error
            await self._wait()
        self._stop_first_byte_timer()

    async def pour(self, sink: Sink, idle_seconds: float | None = None) -> None:
        """Give `sink` the whole body, each byte as it comes.  Raises `ReplyCut`, `IdleTimeout`, and what the sink raises."""
        self._sink = sink
        self._connection.is_watched = idle_seconds is not None
        if not self._received and not self.is_complete:
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
        if self.upload is not None and not self.upload.done():
            self.upload.cancel()
            self.is_reusable = False
        if self._is_held:
            self._go_on()
        # The parser holds our methods, and the sink perhaps us: circles that only the garbage collector would find.
        del self._parser
        self._sink = None
        connection = self._connection
        connection.exchange = None
        connection.is_watched = False
        connection.use(None)
        if not (self.is_complete and self.is_reusable and self._sent):
            connection.close()
        elif connection.is_open and connection.on_free is not None:
            connection.on_free(connection)

    # What the connection calls.

    def request_sent(self) -> None:
        """The last byte of the request has gone: from here on the gateway's silence counts."""
        self._sent = True
        self._start_first_byte_timer()

    def upload_failed(self, error: Exception) -> None:
        """The agent's side broke off: the gateway is let go, and not blamed."""
        self._fail(error if self._error is None else self._error)

    def feed(self, data: bytes) -> None:
        if self._is_over:
            self.is_reusable = False  # bytes behind the end of the message
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            self._unparsable(error)
        # Outside of chunks the parser stands behind a CR LF only where one ended, or the head did.
        self._at_chunk = self._is_chunked and not self._is_over and not self._in_chunk[0] and data.endswith(b"\r\n")
        if self.is_complete:
            del self._received[self._last :]  # a body behind the end of the message
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD and self._error is None:
                self._fail(_bad_reply(f"a head of more than {MAX_HEAD // 1024} KiB"))
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
        """The connection is gone.  Where the message has no length of its own, a polite end is its end (RFC 9112 section 6.3)."""
        if self._has_head and self._until_close and exc is None and self._error is None:
            self._complete()
        elif not self.is_complete and self._error is None:
            if self._head_bytes or self._has_head:
                self._error = _bad_reply("it closed the connection in the middle of its reply")
            else:
                self._error = Refusal("upstream_closed", "the gateway closed the connection before it answered")
        self._is_over = True
        self.is_reusable = False
        self._flow()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.is_reusable = False  # bytes behind the end of the message
        else:
            self.reason = b""
            self.fields = []

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # trailers come this way, too, and are not relayed
            self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:  # an upgrade that nobody asked for
            raise _bad_reply("it switched protocols (101)")
        if status < 200:  # 1xx: an interim reply, the real one follows
            return
        # What a field's value must not hold, a reason phrase must not hold either (RFC 9112 section 4).
        if not are_legal((*self.fields, (b"reason", self.reason))):
            raise _bad_reply("a header field or a reason phrase that HTTP does not allow")
        self.named = by_name(self.fields)
        codings = [value.strip().lower() for value in every(self.named, b"transfer-encoding")]
        if codings not in ([], [b"chunked"]):
            raise _bad_reply("a transfer coding other than chunked")
        # httptools 0.9 reads "3 LF LF abc" as a chunk of "abc": between chunks leniency would eat a body's first byte.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=False)
        for value in every(self.named, b"keep-alive"):
            if limit := _KEEP_ALIVE_TIMEOUT.search(value):
                self._connection.idle_seconds = float(limit[1])
        self.status = status
        self._has_head = True
        self._is_chunked = bool(codings)
        self._until_close = not codings and b"content-length" not in self.named
        if self._is_head:
            # The parser cannot know that no body follows: the message ends here, and the connection with it.
            self._complete()

    def on_message_complete(self) -> None:
        if self._has_head and not self.is_complete:
            self._complete()
            self.is_reusable = self._parser.should_keep_alive()

    def _complete(self) -> None:
        self.is_complete = self._is_over = True
        self._last = len(self._received)

    def _unparsable(self, error: Exception) -> None:
        self.is_reusable = False
        if not self.is_complete:
            self._fail(error.__context__ if isinstance(error.__context__, Refusal) else _bad_reply(str(error)))

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._is_over = True
        self._at_chunk = False
        self.is_reusable = False
        self._connection.use(None)
        self._connection.close()
        self._wake()

    def _flow(self) -> None:
        """Hand on what there is, the end with it, and up with the task if it is concerned."""
        sink, received = self._sink, self._received
        if sink is None:
            if not self._is_held and sum(map(len, received)) > HIGH_WATER:
                self._hold()
        elif (received or self.is_complete) and not self._is_poured:
            data = b"".join(received)
            received.clear()
            try:
                if self.is_complete:
                    sink.end(data)
                    self._is_poured = True
                elif sink.take(data):
                    self._hold()
                elif not self._is_over:
                    return
            except ConnectionError as error:
                self._sink_error = error
        self._wake()

    def _choose_way(self) -> None:
        """Where a chunk begins, one that comes whole goes by the sink's lane; all else comes here."""
        if self._is_chunked:
            self._connection.use(self._sink.lane if self._at_chunk and self._sink is not None else None)

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
        connection.heard_at = time.monotonic()
        while (left := connection.heard_at + idle_seconds - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wait()
                    return
        raise IdleTimeout

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
        if seconds is not None and not self._has_head and self._first_byte_timer is None:
            late = Refusal(
                "timeout_first_byte",
                f"the gateway did not begin to answer within {seconds:g} s",
                "timeouts.first_byte in the configuration sets this limit",
            )
            self._first_byte_timer = asyncio.get_running_loop().call_later(seconds, self._fail, late)

    def _stop_first_byte_timer(self) -> None:
        if self._first_byte_timer is not None:
            self._first_byte_timer.cancel()
            self._first_byte_timer = None


def _bad_reply(what: str) -> Refusal:
    return Refusal("bad_reply", f"the gateway's reply is not usable: {what}")
