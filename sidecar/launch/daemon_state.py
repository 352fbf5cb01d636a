"""Who is running, and where: the lock that is held for life, and `daemon.json` beside it.

The lock alone says whether a daemon lives: the kernel frees it on any death.  `daemon.json` says how to reach it, and what
`sidecar run` must know of the configuration without reading it; a stale one is harmless, because nobody is trusted before
`client.verified`.

Standard library only: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

import os
import sys
import time

from sidecar.launch import lean_json
from sidecar.launch.files import read_regular
from sidecar.launch.places import private_folder, write_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class GatewayState(TypedDict):
        """`remove`: the variables from which keys are taken.  `key` None: nobody has looked yet."""

        beside: bool
        agent_env: dict[str, str]
        remove: list[str]
        key: bool | None

    class LedgerState(TypedDict):
        """`error`: the ledger cannot be written, or rows are lost.  None: nothing is wrong."""

        error: str | None

    class State(TypedDict):
        """`daemon.json`.  `gateway` names the active one, `configured` those of the file, `variables` all that the configuration reads."""

        pid: int
        host: str
        port: int
        instance: str
        version: str
        config: str | None
        config_error: str | None
        draining: bool
        ledger: LedgerState
        started_at: str
        gateway: str
        configured: list[str]
        variables: list[str]
        gateways: dict[str, GatewayState]


_POLL_SECONDS = 0.02
_LARGEST = 4 << 20


class Lock:
    """An exclusive lock on a file, for as long as this process lives or until `release`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, wait_seconds: float = 0.1) -> bool:
        """False when another process holds it.  A short wait, because `held` takes it for a moment to look."""
        private_folder(os.path.dirname(self._path))
        # Never inherited (Python's default): a child that kept the descriptor would keep the lock after our death.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait_seconds
        while not _lock(descriptor):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return False
            time.sleep(_POLL_SECONDS)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def held(path: str) -> bool:
    """Whether some process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def read(path: str) -> State | None:
    """None when there is none, or not one that can be used."""
    try:
        state: State = lean_json.loads(read_regular(path, _LARGEST))
    except (OSError, ValueError):
        return None
    try:
        usable = 0 < state["port"] < 1 << 16 and bool(state["instance"] and state["gateways"] is not None)
    except (TypeError, KeyError):
        return None
    return state if usable else None


def write(path: str, state: State) -> None:
    import json  # noqa: PLC0415 - the daemon's part, which has it already

    write_private(path, json.dumps(state, indent=1).encode())


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
