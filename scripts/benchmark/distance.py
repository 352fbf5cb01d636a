"""The first answer of a new agent process when the gateway is 40 ms away behind TLS: through a running sidecar, and direct."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, cast

from benchmark.processes import ran
from benchmark.proxies import KEY, SIDECAR, home

_SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_AGENT = (sys.executable, "-m", "benchmark.new_agent")


@dataclass(frozen=True, slots=True)
class Distance:
    """Milliseconds from an agent's connection to its first answer, one of each per round.

    `fresh` is through a daemon that has just been started and has no connection yet.
    """

    direct: list[float]
    sidecar: list[float]
    fresh: list[float]


def measure(folder: str, rounds: int) -> Distance:
    """Each time a new agent process: direct, and under `sidecar run` with a new daemon and with one that has served an agent before."""
    command = [sys.executable, "-m", "benchmark.far_gateway", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": _SCRIPTS}) as gateway:  # noqa: S603 - our own module
        try:
            return _compare(folder, int(cast("IO[bytes]", gateway.stdout).readline()), rounds)
        finally:
            gateway.terminate()


def _compare(folder: str, port: int, rounds: int) -> Distance:
    authority, base = os.path.join(folder, "ca.pem"), f"https://127.0.0.1:{port}"
    config = f"gateway: far\ngateways:\n  far: {{base_url: '{base}', credential: {{env: BENCH_KEY}}, ca_file: {authority}}}\n"
    distance = Distance([], [], [])
    with home(folder, config, {"BENCH_KEY": KEY, "PYTHONPATH": _SCRIPTS}) as environment:
        straight = {**environment, "ANTHROPIC_BASE_URL": base, "ANTHROPIC_AUTH_TOKEN": KEY, "BENCH_CA": authority}
        for _ in range(rounds + 1):
            distance.direct.append(float(ran(_AGENT, straight)))
            ran([SIDECAR, "restart"], environment)
            for answers in (distance.fresh, distance.sidecar):
                answers.append(float(ran([SIDECAR, "run", "--", *_AGENT], environment)))
    return Distance(distance.direct[1:], distance.sidecar[1:], distance.fresh[1:])
