"""Memory over a long time: every kind of exchange, over and over, through one sidecar, and what its process tree holds meanwhile."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.processes import rss_mib
from benchmark.proxies import sidecar
from benchmark.recordings import recordings
from benchmark.rounds import run
from benchmark.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.programs import Programs

_MIXED = frozenset({"json64", "req1m-splice", "sse1000", "gzip100", "paced200", "slow1000"})
_SECONDS_EACH = 2.0


@dataclass(frozen=True, slots=True)
class Soak:
    """Memory at rest after each time around: (minutes since the start, MiB)."""

    samples: list[tuple[float, float]]
    requests: int
    faults: int

    def growth(self) -> tuple[float, float]:
        """MiB, and MiB an hour: the last fifth against the fifth behind the first one, in which caches and allocators fill."""
        size = max(len(self.samples) // 5, 1)
        early, late = self.samples[size : 2 * size] or self.samples, self.samples[-size:]
        (begun, small), (ended, large) = (map(statistics.median, zip(*fifth, strict=True)) for fifth in (early, late))
        return large - small, (large - small) / (ended - begun) * 60 if ended > begun else 0.0


def measure(programs: Programs, folder: str, minutes: float, say: Callable[[str], None]) -> Soak:
    known = recordings()
    samples: list[tuple[float, float]] = []
    requests = faults = 0
    os.makedirs(folder, exist_ok=True)
    with programs.gateway(known.values()) as port, sidecar(port, folder) as found:
        proxy = found[0]
        begun = time.monotonic()
        while (passed := (time.monotonic() - begun) / 60) < minutes:
            for scenario in SCENARIOS:
                if scenario.name in _MIXED:
                    done = run(programs, proxy, scenario, known[scenario.reply].events, _SECONDS_EACH)
                    requests += done.load.requests
                    faults += done.faults
            samples.append((passed, rss_mib(proxy.root)))
            say(f"{passed:.1f} min: {samples[-1][1]:.1f} MiB after {requests} requests")
    return Soak(samples, requests, faults)
