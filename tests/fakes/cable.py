"""A way between two peers that can be cut without either of them being told: not a byte and no end of a connection passes any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Cable:
    """`cut()` strikes the connections that exist; later ones pass unless `is_down`.  `port` is where it begins."""

    def __init__(self) -> None:
        self.port = 0
        self.is_down = False
        self.connections = 0
        self._cut = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        self._cut.set()
        self._cut = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far_port: int) -> None:
        self.connections += 1
        if self.is_down:
            await asyncio.Event().wait()
        cut = asyncio.ensure_future(self._cut.wait())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", far_port)
        pumps = {asyncio.ensure_future(_pump(reader, far_writer)), asyncio.ensure_future(_pump(far_reader, writer))}
        try:
            await asyncio.wait({cut, *pumps}, return_when=asyncio.FIRST_COMPLETED)
            if cut.done():
                for pump in pumps:
                    pump.cancel()
                await asyncio.Event().wait()
        finally:
            for task in (cut, *pumps):
                task.cancel()
            await asyncio.gather(cut, *pumps, return_exceptions=True)
            writer.transport.abort()
            far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def cable(far_port: int) -> AsyncIterator[Cable]:
    way = Cable()
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await way.carry(reader, writer, far_port)
        except (ConnectionError, asyncio.CancelledError):
            pass  # a peer has gone, or the test is over
        finally:
            running.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0)
