"""The way through aiohttp: agents' requests that are not plain, and every request to one of the sidecar's own paths.

aiohttp reads these requests.  An agent's is then answered by the exchange, which writes to the transport itself: aiohttp would add fields
of its own, write UTF-8 only, and send the head in a packet by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from sidecar.proxy.admission import KnownHead
from sidecar.proxy.agent import AgentRequest
from sidecar.server.plain import KEEPALIVE_SECONDS, LINGER_SECONDS
from sidecar.server.transports import reset
from sidecar.wire.head import Head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler

#: aiohttp's own limits (8 KiB, 128 fields) are below what Claude Code can be told to send.
MAX_FIELD = 256 * 1024
MAX_FIELDS = 512


class AiohttpBody:
    """A body that aiohttp receives, without its chunks."""

    def __init__(self, request: web.Request) -> None:
        self.length = request.content_length
        self._content = request.content

    def whole(self) -> bytes | None:
        return self._content.read_nowait() if self._content.is_eof() else None

    def arriving(self) -> AsyncIterator[bytes]:
        return self._content.iter_any()


class AiohttpConnection:
    """aiohttp's connection, while the exchange writes to it."""

    def __init__(self, request: web.Request) -> None:
        self.peer = request.remote
        self._request = request

    @property
    def is_gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    @property
    def is_paused(self) -> bool:
        return self._request.protocol.writing_paused

    @property
    def write(self) -> Callable[[bytes], None]:
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError
        return transport.write

    async def drained(self) -> None:
        await self._request.writer.drain()

    def close(self) -> None:
        if self._request.transport is not None:
            self._request.transport.close()

    def reset(self) -> None:
        if self._request.transport is not None:
            reset(self._request.transport)


class Written(web.StreamResponse):
    """Tells aiohttp that the answer to this request has been written."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


def agent_request(request: web.Request) -> AgentRequest:
    head = Head(request.method, request.raw_path, request.raw_headers, request.version)
    body = AiohttpBody(request) if request.can_read_body else None
    return AgentRequest(KnownHead(head), body, AiohttpConnection(request), request.keep_alive)


def server(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Server:
    """Return the aiohttp server that connections are handed over to."""
    loop = asyncio.get_running_loop()

    def make_request(
        message: RawRequestMessage, payload: StreamReader, protocol: RequestHandler, writer: AbstractStreamWriter, task: asyncio.Task[None]
    ) -> web.Request:
        return web.Request(message, payload, protocol, writer, task, loop)

    async def handle_request(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)  # noqa: S101  # `make_request` makes no others
        return await handle(request)

    return web.Server(
        handle_request,
        request_factory=make_request,
        handler_cancellation=True,
        auto_decompress=False,
        access_log=None,
        max_line_size=MAX_FIELD,
        max_field_size=MAX_FIELD,
        max_headers=MAX_FIELDS,
        lingering_time=LINGER_SECONDS,
        keepalive_timeout=KEEPALIVE_SECONDS,
    )
