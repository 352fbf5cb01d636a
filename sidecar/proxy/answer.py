"""An answer on the agent's connection: head and body are the bytes given, nothing is added, changed or held back."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from sidecar.proxy.connection import Lane
from sidecar.wire.chunk import as_chunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sidecar.proxy.agent import AgentConnection, AgentRequest
    from sidecar.wire.fields import Field

_NO_BODY = frozenset({204, 304})
_name = itemgetter(0)


class Copy(Protocol):
    """Receives a copy of a body: `take` gets its first and its last bytes.  Chunks that go by the lane in between are put into `chunks`,
    and `look` is called for every few of them.
    """

    chunks: list[bytes]

    def take(self, data: bytes) -> None: ...

    def look(self) -> None: ...


class Answer:
    """One answer.  `fields` may hold a Content-Length; without one the body is chunked, or for HTTP/1.0 ended by the connection's end.

    `start` says which request is answered.  A body that arrives in pieces is then given to `take` and `end`, or goes by the `lane` (this
    is a `reply.Sink`), and `copy` gets it as well.  `finish` writes what has not been written by then: an answer that has its `body` from
    the start, head and all.
    """

    #: The short way for chunks that arrive whole.  It exists once head and first bytes are out, and if chunks follow.
    lane: Lane | None = None
    _connection: AgentConnection | None = None
    _head = b""
    _is_chunked = False
    _is_bodiless = False
    _is_over = False

    def __init__(
        self,
        status: int,
        reason: bytes,
        fields: Sequence[Field],
        body: bytes = b"",
        copy: Copy | None = None,
    ) -> None:
        self.status = status
        #: Whether the connection may carry another request behind this answer.  Known from `start` on.
        self.keep_alive = True
        self._reason = reason
        self._fields = fields
        self._body = body
        self._copy = copy

    def __repr__(self) -> str:
        state = "over" if self._is_over else "started" if self._connection is not None else "new"
        return f"<Answer {self.status} {state}{' chunked' if self._is_chunked else ''}>"

    @property
    def has_started(self) -> bool:
        return self._connection is not None

    def start(self, request: AgentRequest) -> None:
        """Answer `request`.  Nothing is written yet: the head goes out with the first bytes of the body."""
        self._connection = request.connection
        fields = [*self._fields]
        has_length = _has_length(fields)
        if has_length and self.status == 204:  # which must not name one (RFC 9110 section 8.6)
            fields = [field for field in fields if field[0].lower() != b"content-length"]
            has_length = False
        version = request.head.version
        is_11 = version >= (1, 1)
        self._is_bodiless = request.head.method == "HEAD" or self.status in _NO_BODY
        self._is_chunked = is_11 and not has_length and not self._is_bodiless
        self.keep_alive = request.keep_alive and (is_11 or has_length or self._is_bodiless)
        if self._is_chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
        if self.keep_alive and not is_11:
            fields.append((b"Connection", b"keep-alive"))
        elif is_11 and not self.keep_alive:
            fields.append((b"Connection", b"close"))
        lines = [b"HTTP/1.%d %d %b" % (version[1], self.status, self._reason), *map(b": ".join, fields), b"\r\n"]
        self._head = b"\r\n".join(lines)

    def take(self, data: bytes) -> bool:
        """Write the next bytes of the body.  True: no more of them for now.  Raises ConnectionResetError when the agent is gone."""
        return self._take(data, is_last=False)

    def passed(self) -> bool:
        """Some chunks went by the lane.  As `take`."""
        connection = self._reachable()
        if self._copy is not None:
            self._copy.look()
        return connection.is_paused

    def end(self, data: bytes) -> None:
        """Write the last bytes, and what says that they are.  Raises ConnectionResetError."""
        self._take(data, is_last=True)

    async def drained(self) -> None:
        """Wait until the agent has room for more.  Raises ConnectionResetError."""
        if self._connection is not None:
            await self._connection.drained()

    async def finish(self) -> None:
        """Write the whole answer unless it has been written, and wait until the agent has room for it.  Raises ConnectionResetError."""
        if not self._is_over:
            self.end(self._body)
        await self.drained()

    def break_off(self) -> None:
        """Unless the last byte has gone: end the agent's connection so that the reply cannot be taken for a whole one.

        An ordinary close still sends what is buffered, and then neither the last chunk nor the promised length has come.  A reply that
        only the end of the connection ends (HTTP/1.0) needs a reset: there an ordinary end would look like success.
        """
        if self._is_over:
            return
        self._is_over = True
        self.keep_alive = False
        connection = self._connection
        if connection is None or connection.is_gone:
            return
        if self._is_chunked or _has_length(self._fields):
            connection.close()
        else:
            connection.reset()

    def _reachable(self) -> AgentConnection:
        if self._connection is None or self._connection.is_gone:
            raise ConnectionResetError
        return self._connection

    def _take(self, data: bytes, *, is_last: bool) -> bool:
        """Write all that does not go by the lane: the first bytes, behind the head, the last ones, and what comes in other slices."""
        try:
            connection = self._reachable()
            sent = self._framed(data, is_last)
            self._is_over = is_last
            if sent:
                connection.write(sent)
            if self.lane is None and self._is_chunked and data and not is_last and self._copy is not None:
                self.lane = Lane(connection.write, self._copy.chunks)
            return connection.is_paused
        finally:
            if self._copy is not None:
                self._copy.take(data)

    def _framed(self, data: bytes, is_last: bool) -> bytes:
        """`data` as it is sent: behind the head if that has not gone, in a chunk if need be, and with the last chunk if it is the last."""
        head, self._head = self._head, b""
        if self._is_chunked:
            sent = head + as_chunk(data) if data else head
            return sent + b"0\r\n\r\n" if is_last else sent
        if not head:
            return data
        return head if self._is_bodiless else head + data


def _has_length(fields: Iterable[Field]) -> bool:
    return b"content-length" in map(bytes.lower, map(_name, fields))
