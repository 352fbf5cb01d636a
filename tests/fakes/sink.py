"""Where a reply's body goes in tests that have no agent."""

from __future__ import annotations

import asyncio


class Sink:
    """`body` is what has come, `passed` how many chunks of it as they were; full from `room` bytes on, until `empty()`."""

    def __init__(self, room: int | None = None) -> None:
        self.body = bytearray()
        self.passed = 0
        self.is_whole = False
        self._room = room
        self._taken = 0
        self._emptied = asyncio.Event()

    def take(self, data: bytes) -> bool:
        assert not self.is_whole
        self.body += data
        return self.is_full()

    def pass_on(self, chunk: bytes) -> bool:
        size, _, rest = chunk.partition(b"\r\n")
        assert set(size) <= set(b"0123456789abcdefABCDEF")
        assert len(rest) == int(size, 16) + 2 > 2, chunk
        assert rest.endswith(b"\r\n")
        self.passed += 1
        return self.take(rest[:-2])

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
