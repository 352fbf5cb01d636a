"""What this process holds: tasks, sockets and threads, counted before and after."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

#: The event loops' own pools for blocking calls: they grow to their limit and stay.
POOLS = ("asyncio_", "uvloop_")


@dataclass(frozen=True)
class Held:
    tasks: frozenset[asyncio.Task[object]]
    sockets: int
    threads: frozenset[str]

    @classmethod
    def now(cls) -> Held:
        threads = frozenset(thread.name for thread in threading.enumerate() if not thread.name.startswith(POOLS))
        others = asyncio.all_tasks() - {asyncio.current_task()}  # a fixture's end is another task than its beginning
        return cls(frozenset(others), sum(map(_is_socket, os.listdir("/dev/fd"))), threads)

    def is_within(self, before: Held) -> bool:
        return self.tasks <= before.tasks and self.sockets <= before.sockets and self.threads <= before.threads


def _is_socket(descriptor: str) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(int(descriptor)).st_mode)
    except OSError:  # the folder's own
        return False


@contextlib.asynccontextmanager
async def nothing_left_behind(seconds: float = 5) -> AsyncIterator[None]:
    """What begins inside has to end soon after: within `seconds` there are no more tasks, sockets and threads than before."""
    before = Held.now()
    yield
    deadline = time.monotonic() + seconds
    while not (after := Held.now()).is_within(before):
        assert time.monotonic() < deadline, (
            f"left behind: tasks {set(after.tasks - before.tasks)}, {after.sockets - before.sockets} sockets, "
            f"threads {set(after.threads - before.threads)}"
        )
        await asyncio.sleep(0.005)
