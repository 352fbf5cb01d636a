"""Where a reply's body goes in tests that have no agent."""

from __future__ import annotations

import asyncio

from sidecar.proxy.connection import Lane


class Sink:
    """`body` is what has come, `whole` how many chunks of it as they were; full from `room` bytes on, until `empty()`."""

    def __init__(self, room: int | None = None) -> None:
        self.body = bytearray()
        self.lane = Lane(self.write, [])
        self.whole = 0
        self.is_whole = False
        self._room = room
        self._taken = 0
        self._emptied = asyncio.Event()

    def take(self, data: bytes) -> bool:
        assert not self.is_whole
        self.body += data
        return self.is_full()

    def write(self, chunk: bytes) -> None:
        size, _, rest = chunk.partition(b"\r\n")
        assert set(size) <= set(b"0123456789abcdefABCDEF")
        assert len(rest) == int(size, 16) + 2 > 2, chunk
        assert rest.endswith(b"\r\n")
        self.whole += 1
        self.take(rest[:-2])

    def passed(self) -> bool:
        self.lane.chunks.clear()
        return self.is_full()

    def end(self, data: bytes) -> None:
        self.take(data)
        self.is_whole = True

    def is_full(self) -> bool:
        return self._room is not None and len(self.body) - self._taken >= self._room

    async def drained(self) -> None:
        await self._emptied.wait()
        self._emptied.clear()

    def empty(self) -> None:
        self._taken = len(self.body)
        self._emptied.set()
