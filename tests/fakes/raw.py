"""A gateway of raw bytes: answers each connection with a script and remembers what it read.  No HTTP library has a say in it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class Conversation:
    """One connection.  `request()` reads a whole request, `send` writes, `fin`/`rst` end it in their way."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[Request]

    async def request(self) -> Request | None:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        line, *lines = head[:-4].split(b"\r\n")
        fields = [tuple(part.strip() for part in each.split(b":", 1)) for each in lines]
        names = {name.lower(): value for name, value in fields}
        request = Request(line, fields)
        if b"content-length" in names:
            request.body = await self.reader.readexactly(int(names[b"content-length"]))
        elif names.get(b"transfer-encoding") == b"chunked":
            while size := int(await self.reader.readline(), 16):
                request.body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readline()
        self.requests.append(request)
        return request

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def fin(self) -> None:
        self.writer.close()

    def rst(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Request:
    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    def values(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.fields if field_name.lower() == name.lower()]


Script = Callable[[Conversation], Awaitable[None]]


@dataclass
class RawGateway:
    url: str
    port: int
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)


def says(*pieces: bytes, then: str = "keep") -> Script:
    """Answers every request on a connection with these pieces; `then` is keep, fin or rst."""

    async def script(talk: Conversation) -> None:
        while await talk.request():
            await talk.send(*pieces)
            if then == "fin":
                talk.fin()
            elif then == "rst":
                await asyncio.sleep(0)
                talk.rst()
            if then != "keep":
                return

    return script


@contextlib.asynccontextmanager
async def raw_gateway(script: Script, *, ssl: object = None) -> AsyncIterator[RawGateway]:
    """`gateway.lost` is set when a connection has gone; a script that is still running then is cancelled at the end."""
    gateway = RawGateway("", 0)
    running: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        writers.append(writer)
        gateway.connections += 1
        try:
            await script(Conversation(reader, writer, gateway.requests))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has gone, or the test is over
        finally:
            running.discard(task)
            gateway.lost.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ssl, limit=1 << 20)  # type: ignore[arg-type]
    gateway.port = server.sockets[0].getsockname()[1]
    gateway.url = f"http{'s' if ssl else ''}://127.0.0.1:{gateway.port}"
    try:
        yield gateway
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for writer in writers:
            with contextlib.suppress(AttributeError):  # it has gone already
                writer.transport.abort()
        await asyncio.sleep(0)


def reply(body: bytes = b"{}", *fields: bytes, status: bytes = b"200 OK", framing: str = "length") -> bytes:
    """A whole reply; `framing` is length, chunked (one chunk) or close."""
    head = b"HTTP/1.1 " + status + b"\r\n" + b"".join(each + b"\r\n" for each in fields)
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if framing == "chunked":
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    return head + b"\r\n" + body
