"""How long the commands take before anything is proxied: wall time of whole processes, in turn with what they are compared to."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.processes import OTHER_CORE, PROXY_CORE, free_port, pinned, ran, wait_for_answer
from benchmark.proxies import KEY, SIDECAR, home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RUN_TRUE = (SIDECAR, "run", "--", "true")
_SESSION = b'{"session_id": "0f8fad5b-d9cb-469f-a165-70867728950e", "model": {"id": "claude-sonnet-4-5"}}'


@dataclass(frozen=True, slots=True)
class Starts:
    """Milliseconds, one of each list per round.  `serve` ends with the first answer; `cold_run` has to start the daemon."""

    true: list[float]
    python: list[float]
    run: list[float]
    aiohttp: list[float]
    serve: list[float]
    cold_run: list[float]
    statusline: list[float]
    usage: list[float]


def measure(folder: str, rounds: int) -> Starts:
    port = free_port()
    base = f"base_url: http://127.0.0.1:{free_port()}, credential: {{env: BENCH_KEY}}"
    starts = Starts([], [], [], [], [], [], [], [])
    with home(folder, f"listen: 127.0.0.1:{port}\ngateway: bench\ngateways:\n  bench: {{{base}}}\n", {"BENCH_KEY": KEY}) as environment:
        for _ in range(rounds + 1):
            starts.serve.append(_serve(environment, port))
            starts.aiohttp.append(_took([sys.executable, "-c", "import aiohttp.web"], environment))
            starts.cold_run.append(_took(_RUN_TRUE, environment))  # leaves a running daemon
            for _ in range(5):
                starts.true.append(_took(["true"], environment))
                starts.python.append(_took([sys.executable, "-c", "pass"], environment))
                starts.run.append(_took(_RUN_TRUE, environment))
                starts.statusline.append(_took((SIDECAR, "statusline"), environment, _SESSION))
                starts.usage.append(_took((SIDECAR, "usage"), environment))
            ran([SIDECAR, "stop", "--now"], environment)
    return Starts(**{name: getattr(starts, name)[len(getattr(starts, name)) // (rounds + 1) :] for name in Starts.__slots__})


def ratios(starts: Starts) -> tuple[list[float], list[float]]:
    """`sidecar run -- true` less `true` against a bare interpreter, and the daemon's start against its server library's import."""
    true = statistics.median(starts.true)
    run = [(run - true) / python for run, python in zip(starts.run, starts.python, strict=True)]
    return run, [serve / library for serve, library in zip(starts.serve, starts.aiohttp, strict=True)]


def _took(command: Sequence[str], environment: Mapping[str, str], given: bytes = b"") -> float:
    with pinned(PROXY_CORE):
        begun = time.perf_counter()
        subprocess.run(command, env=environment, input=given, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own commands
        return (time.perf_counter() - begun) * 1000


def _serve(environment: Mapping[str, str], port: int) -> float:
    with pinned(PROXY_CORE):
        begun = time.perf_counter()
        with open(os.devnull, "wb") as nowhere:
            process = subprocess.Popen([SIDECAR, "serve"], env=environment, stdin=subprocess.DEVNULL, stdout=nowhere, stderr=nowhere)  # noqa: S603
    with pinned(OTHER_CORE):
        wait_for_answer(f"http://127.0.0.1:{port}/_sidecar/health", process, poll_seconds=0.001)
        took = (time.perf_counter() - begun) * 1000
    process.terminate()
    process.wait()
    return took
