"""Accepts connections while there are descriptors for them; beyond that they wait in the system's queue.

uvloop accepts and closes whatever waits when the process has run out of descriptors: an agent would see a reset, without an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from sidecar.proxy.descriptors import EXHAUSTED, used_share

if TYPE_CHECKING:
    from collections.abc import Callable

#: From half of the limit on, connections are accepted slowly: each that is there needs one to a gateway, and gets time to open it.
CROWDED = 0.5
CROWDED_SECONDS = 0.005
#: What is left then is for the ledger, the log and a keyring.
FULL = 0.9
EXHAUSTED_SECONDS = 0.05


class Acceptor:
    """Gives each connection of the listening `sock` a protocol of `factory`, until `close`."""

    def __init__(self, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._factory = factory
        self._paused: asyncio.TimerHandle | None = None
        self._connecting: set[asyncio.Task[object]] = set()
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Free the port; the connections stay."""
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        """Accept one connection.  The loop calls this again as long as others wait."""
        try:
            connection, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            self._pause(EXHAUSTED_SECONDS)
            return
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # it has gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        used = used_share(connection.fileno())
        if used > CROWDED:
            self._pause(EXHAUSTED_SECONDS if used > FULL else CROWDED_SECONDS)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection)
        except OSError:
            connection.close()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._paused = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._paused = None
        self._loop.add_reader(self._sock, self._accept)
