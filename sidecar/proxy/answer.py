"""An answer on the agent's connection: head and body are the bytes given, nothing is added, changed or held back.

The server library would add fields of its own, write UTF-8 only, and send the head in a packet by itself.  So it is left with the
connection, and this writes the message.
"""

from __future__ import annotations

import socket
import struct
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from aiohttp import HttpVersion11, web

from sidecar.proxy.connection import Lane
from sidecar.wire.chunk import as_chunk

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

    from sidecar.proxy.incoming import Downstream, Incoming
    from sidecar.wire.fields import Field

_NO_BODY = frozenset({204, 304})
_name = itemgetter(0)


class Copy(Protocol):
    """Who is told of a body: `take` of its first bytes and its last; what goes between by the `lane` is put into `chunks`, and `look` is
    called in time.
    """

    chunks: list[bytes]

    def take(self, data: bytes) -> None: ...

    def look(self) -> None: ...


class Answer(web.StreamResponse):
    """`fields` may hold a Content-Length; without one the body is chunked, or for HTTP/1.0 ended by the end of the connection.

    `prepare`, then `take`, `lane` and `end` (a `reply.Sink`); or `body`, all of it at once.  `copy` gets the body, too.
    """

    lane: Lane | None = None  # when head and first bytes are out, and chunks follow

    def __init__(
        self,
        status: int,
        reason: bytes,
        fields: Sequence[Field],
        body: bytes = b"",
        copy: Copy | None = None,
    ) -> None:
        super().__init__(status=status)
        self._phrase = reason
        self._fields = fields
        self._whole = body
        self._copy = copy
        self._pending = b""
        self._request: Incoming | None = None
        self._protocol: Downstream | None = None
        self._is_chunked = self._is_bodiless = self._is_over = False

    async def prepare(self, request: Incoming) -> None:
        """Nothing is written yet: the head goes out with the first bytes of the body."""
        if self._request is not None:
            return
        self._request = request
        self._protocol = request.protocol
        fields = [*self._fields]
        has_length = _has_length(fields)
        if has_length and self.status == 204:  # which must not name one (RFC 9110 section 8.6)
            fields = [field for field in fields if field[0].lower() != b"content-length"]
            has_length = False
        is_11 = request.version >= HttpVersion11
        self._is_bodiless = request.method == "HEAD" or self.status in _NO_BODY
        self._is_chunked = is_11 and not has_length and not self._is_bodiless
        self._keep_alive = request.keep_alive and (is_11 or has_length or self._is_bodiless) and self._keep_alive is not False
        if self._is_chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
        if self._keep_alive and not is_11:
            fields.append((b"Connection", b"keep-alive"))
        elif is_11 and not self._keep_alive:
            fields.append((b"Connection", b"close"))
        lines = [b"HTTP/1.%d %d %b" % (request.version[1], self.status, self._phrase), *map(b": ".join, fields), b"\r\n"]
        self._pending = b"\r\n".join(lines)

    def take(self, data: bytes) -> bool:
        """Write the next bytes of the body.  True: no more of them for now.  Raises ConnectionResetError when the agent is gone."""
        return self._take(data, is_last=False)

    def passed(self) -> bool:
        """Some chunks went by the lane.  As `take`."""
        if self._protocol is None or self._protocol.transport is None:
            raise ConnectionResetError
        if self._copy is not None:
            self._copy.look()
        return self._protocol.writing_paused

    def end(self, data: bytes) -> None:
        """Write the last bytes, and what says that they are.  Raises ConnectionResetError."""
        self._take(data, is_last=True)

    def _take(self, data: bytes, *, is_last: bool) -> bool:
        """Write all that does not go by the lane: the first bytes, behind the head, the last ones, and what comes in other slices."""
        try:
            protocol = self._protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None or transport.is_closing():
                raise ConnectionResetError
            self._write(transport, data, is_last)
            if self.lane is None and self._is_chunked and data and not is_last and self._copy is not None:
                self.lane = Lane(transport.write, self._copy.chunks)
            return protocol.writing_paused
        finally:
            if self._copy is not None:
                self._copy.take(data)

    def _write(self, transport: asyncio.Transport, data: bytes, is_last: bool) -> None:
        sent = data
        if self._is_chunked:
            sent = self._pending + as_chunk(data) if data else self._pending
            if is_last:
                sent += b"0\r\n\r\n"
        elif self._pending:
            sent = self._pending if self._is_bodiless else self._pending + data
        self._pending = b""
        self._is_over = is_last
        if sent:
            transport.write(sent)

    async def drained(self) -> None:
        if self._request is not None:
            await self._request.writer.drain()

    async def write_eof(self, _data: bytes = b"") -> None:
        """Called by the server when the handler is done."""
        if not self._is_over:
            self.end(self._whole)
        await self.drained()

    def break_off(self) -> None:
        """Unless the last byte has gone: end the agent's connection so that the reply cannot be taken for a whole one.

        `close()` still sends what is buffered, and then neither the last chunk nor the promised length has come.  A reply that only
        the end of the connection ends (HTTP/1.0) needs a reset: there an ordinary end would look like success.
        """
        if self._is_over:
            return
        self._is_over = True
        self.force_close()
        transport = None if self._protocol is None else self._protocol.transport
        if transport is None or transport.is_closing():
            return
        if self._is_chunked or _has_length(self._fields):
            transport.close()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def _has_length(fields: Iterable[Field]) -> bool:
    return b"content-length" in map(bytes.lower, map(_name, fields))
