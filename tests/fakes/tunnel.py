"""An HTTP proxy: CONNECT leads to the loopback, whatever name was asked for; everything else is answered by the proxy itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fakes.raw import reply


@contextlib.asynccontextmanager
async def proxy(status: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> AsyncIterator[tuple[str, list[bytes]]]:
    """Its address and the heads of the requests it got.  `status` answers CONNECT."""
    seen: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        method, target, _ = head.split(b" ", 2)
        if method != b"CONNECT":
            writer.write(reply(b"forwarded"))
            writer.close()
            return
        writer.write(status)
        if b" 200 " in status:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", int(target.rsplit(b":", 1)[1]))
            await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)
