"""The stand-in gateway and the load generator: compiled once, run on the core that the proxy does not have."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from benchmark.processes import OTHER_CORE, Failed, installed, pinned, ran

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmark.recordings import Recording

#: How long the load generator waits for replies under way when its time is over.
_PATIENCE_SECONDS = 15
_SOURCES = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Load:
    """What came back: see load.c.  `stamps` counts the events whose moment of writing is known."""

    requests: int
    failed: int
    different: int
    unfinished: int
    seconds: float
    stamps: int
    first_byte_ms: Latency | None
    whole_ms: Latency | None
    event_ms: Latency | None


class Programs:
    """The two programs, compiled into `folder`."""

    def __init__(self, folder: str) -> None:
        """Raises `Failed` where there is no C compiler: a load generator in Python would be what is measured."""
        compiler = installed("cc") or installed("gcc") or installed("clang")
        if compiler is None:
            raise Failed("there is no C compiler (cc, gcc or clang): apt-get install gcc libc6-dev")
        self._folder = folder
        for name in ("gateway", "load"):
            ran([compiler, "-O2", "-o", os.path.join(folder, name), os.path.join(_SOURCES, f"{name}.c")])

    @contextlib.contextmanager
    def gateway(self, recordings: Iterable[Recording]) -> Iterator[int]:
        """The port of a running stand-in gateway."""
        command = [os.path.join(self._folder, "gateway"), *(recording.write(self._folder) for recording in recordings)]
        with pinned(OTHER_CORE):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - compiled above
        with process:  # closes its standard input, which ends it
            yield int(cast("IO[bytes]", process.stdout).readline())

    def load(self, port: int, request: bytes, reply: str, *, clients: int, seconds: float, spread_ms: int = 0) -> Load:
        """Raises `Failed`."""
        request_file = os.path.join(self._folder, "request")
        with open(request_file, "wb") as file:
            file.write(request)
        body_file = os.path.join(self._folder, f"{reply}.body")
        settings = (port, request_file, body_file, clients, seconds, spread_ms, _PATIENCE_SECONDS)
        with pinned(OTHER_CORE):
            printed = json.loads(ran([os.path.join(self._folder, "load"), *map(str, settings)]))
        latencies = {name: Latency(**value) if value else None for name, value in printed.items() if name.endswith("_ms")}
        return Load(**{**printed, **latencies})
