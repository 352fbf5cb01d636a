"""Every scenario through every proxy, in turn, several times: what drifts on a machine meets them all alike."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmark.processes import cpu_seconds, rss_mib, stolen_seconds
from benchmark.proxies import PROXIES
from benchmark.recordings import recordings, request
from benchmark.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmark.programs import Load, Programs
    from benchmark.proxies import Proxy
    from benchmark.scenarios import Scenario

_SETTLE_SECONDS = 0.3
_AT_REST = 0.05  # of a core
_SAMPLE_SECONDS = 0.2
#: Of the machine's time.  What is stolen counts as the process's own: at 2, 17 and 37 % a stream of 100 events took nginx 3.5, 5.2
#: and 30 µs of CPU an event; at 0.6, 1.2 and 2.9 % the sidecar added 0.109, 0.125 and 0.141 ms to an event of 200 streams.
MOST_STOLEN = 0.01
TRIES = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario through one proxy.  `events` is 0 where requests are what is counted; `rss_mib` is the highest seen; `stolen` is the
    share of the machine's time that other machines on the same hardware had meanwhile.
    """

    proxy: str
    scenario: str
    cpu_seconds: float
    rss_mib: float
    stolen: float
    events: int
    load: Load

    @property
    def cpu_each(self) -> float | None:
        """CPU seconds per event, or per request where there are no events; None when nothing came."""
        count = self.events or self.load.requests
        return self.cpu_seconds / count if count and self.cpu_seconds else None

    @property
    def faults(self) -> int:
        return self.load.failed + self.load.different + self.load.unfinished


@dataclass(frozen=True, slots=True)
class Measured:
    """`rounds`: the runs of each round by proxy and scenario.  `idle_mib`: memory before there is a request, `used_mib`: after one."""

    rounds: list[dict[tuple[str, str], Run]]
    idle_mib: dict[str, float]
    used_mib: dict[str, float]
    missing: list[str]


def measure(programs: Programs, folder: str, chosen: Sequence[str], rounds: int, seconds: float, say: Callable[[str], None]) -> Measured:
    """`chosen` of the peers, beside direct and the sidecar."""
    known = recordings()
    with programs.gateway(known.values()) as port, contextlib.ExitStack() as running:
        proxies: list[Proxy] = []
        missing = []
        for name in ("direct", "sidecar", *chosen):
            own = os.path.join(folder, name)
            os.makedirs(own, exist_ok=True)
            found = running.enter_context(PROXIES[name](port, own))
            proxies += found
            if not found:
                missing.append(name)
                say(f"{name} is not installed, so it is left out: scripts/bench --install-peers {name}")
        idle = {proxy.name: rss_mib(proxy.root) for proxy in proxies if proxy.root}
        used = {proxy.name: _first(programs, proxy) for proxy in proxies if proxy.root}
        measured = Measured([{} for _ in range(rounds)], idle, used, missing)
        for at, runs in enumerate(measured.rounds, start=1):
            again: dict[tuple[str, str], Callable[[], Run]] = {}
            for scenario in SCENARIOS:
                say(f"round {at} of {rounds}: {scenario.what}")
                for proxy in proxies:
                    if scenario.name in proxy.scenarios:
                        once = partial(run, programs, proxy, scenario, known[scenario.reply].events, seconds)
                        made = runs[proxy.name, scenario.name] = undisturbed(once)
                        if made.stolen > MOST_STOLEN and not made.faults:
                            again[proxy.name, scenario.name] = once
            # Others are busy for minutes at a time: by now they may have done.
            for key, once in again.items():
                say(f"round {at} of {rounds}: {key[1]} through {key[0]} once more, {runs[key].stolen:.0%} of it was lost")
                runs[key] = undisturbed(once, runs[key])
        return measured


def undisturbed(once: Callable[[], Run], *before: Run) -> Run:
    """A run of which little was stolen, or the one of some, those `before` among them, of which the least was.  None with a fault is
    left out.
    """
    tried = [*before]
    while len(tried) < TRIES:
        tried.append(once())
        if tried[-1].stolen <= MOST_STOLEN or tried[-1].faults:
            return tried[-1]
    return min(tried, key=lambda one: one.stolen)


def run(programs: Programs, proxy: Proxy, scenario: Scenario, events: int, seconds: float) -> Run:
    """`events`: in each reply.  Streams that keep a pace are counted as their events come, the others when they have ended."""
    asked = request(scenario, proxy.path, proxy.headers)
    begun, stolen = time.monotonic(), stolen_seconds()
    before = cpu_seconds(proxy.root) if proxy.root else 0.0
    with _highest_rss(proxy.root) as highest:
        load = programs.load(proxy.port, asked, scenario.reply, clients=scenario.clients, seconds=seconds, spread_ms=scenario.spread_ms)
    spent = _at_rest(proxy.root) - before if proxy.root else 0.0
    share = (stolen_seconds() - stolen) / (time.monotonic() - begun) / (os.cpu_count() or 1)
    return Run(proxy.name, scenario.name, spent, highest[0], share, load.requests * events, load)


def _first(programs: Programs, proxy: Proxy) -> float:
    """Memory once everything that a request needs has been loaded."""
    run(programs, proxy, SCENARIOS[0], 0, 0.05)
    return rss_mib(proxy.root)


def _at_rest(root: int) -> float:
    """CPU time so far, once there is nothing left to do: a commit or a log line behind an exchange belongs to its cost.

    And the next proxy wants the core for itself.
    """
    spent = cpu_seconds(root)
    for _ in range(50):
        time.sleep(_SETTLE_SECONDS)
        before, spent = spent, cpu_seconds(root)
        if spent - before < _AT_REST * _SETTLE_SECONDS:
            break
    return spent


@contextlib.contextmanager
def _highest_rss(root: int) -> Iterator[list[float]]:
    highest = [0.0]
    over = threading.Event()

    def watch() -> None:
        while root and not over.wait(_SAMPLE_SECONDS):
            highest[0] = max(highest[0], rss_mib(root))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        over.set()
        watcher.join()
