"""What has to be reached, and whether it was.  Ratios and differences are taken within a round, then their median over the rounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.rounds import MOST_STOLEN
from benchmark.starts import ratios

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmark.distance import Distance
    from benchmark.rounds import Measured, Run
    from benchmark.starts import Starts


TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Goal:
    """`values`: one per round that counts, empty if not measured.  Smaller is better; `must` None: nothing less than the goal is asked."""

    measure: str
    unit: str
    values: list[float]
    must: float | None
    goal: float

    @property
    def verdict(self) -> str:
        if not self.values:
            return "not measured"
        median = statistics.median(self.values)
        if median <= self.goal:
            return "goal reached"
        if self.must is None:
            return "goal missed"
        return "must reached" if median <= self.must else "**missed**"


def goals(measured: Measured, starts: Starts, distance: Distance) -> list[Goal]:
    run, serve = ratios(starts)
    first_answer, fresh = (
        [through / direct for through, direct in zip(answers, distance.direct, strict=True)]
        for answers in (distance.sidecar, distance.fresh)
    )
    own = [[run for (proxy, _), run in runs.items() if proxy == "sidecar"] for runs in measured.rounds]
    wrong = [float(sum(run.load.failed + run.load.different for run in runs)) for runs in own]
    unfinished = [float(runs["sidecar", "slow1000"].load.unfinished) for runs in measured.rounds]
    return [
        Goal("CPU per paced event, 200 streams, against nginx", TIMES, cpu_ratios(measured, "sidecar", "paced200"), 1.6, 1.3),
        Goal("CPU per event, streams of 100 events, against nginx", TIMES, cpu_ratios(measured, "sidecar", "sse100"), 1.7, 1.2),
        Goal("CPU per small request, 16 clients, against nginx", TIMES, cpu_ratios(measured, "sidecar", "json16"), 16, 3),
        Goal("CPU per 1 MB request, against nginx", TIMES, cpu_ratios(measured, "sidecar", "req1m"), 4, 2.5),
        Goal("CPU per 1 MB request, model mapped, against nginx", TIMES, cpu_ratios(measured, "sidecar", "req1m-splice"), 4, 2.5),
        Goal("added first byte, 1 client, p50", "ms", list(added(measured, "sidecar", "sse100-1", "first_byte_ms", "p50")), 0.55, 0.35),
        Goal(
            "added latency per event, 200 streams, p50", "ms", list(added(measured, "sidecar", "paced200", "event_ms", "p50")), 0.12, 0.09
        ),
        Goal("replies broken off or with other bytes, all scenarios", "", wrong, 0, 0),
        Goal("unfinished of 1,000 streams with 5 events/s", "", unfinished, 0, 0),
        Goal("added latency per event, 1,000 streams, p99", "ms", list(added(measured, "sidecar", "slow1000", "event_ms", "p99")), None, 3),
        Goal("first answer of a new agent, TLS and 40 ms, against direct", TIMES, first_answer, 0.75, 0.5),
        Goal("the same through a daemon that has just been started", TIMES, fresh, 0.75, 0.5),
        Goal("`sidecar run -- true` less `true`, against `python -c pass`", TIMES, run, 3, 1.5),
        Goal("daemon: start to first answer, against importing aiohttp.web", TIMES, serve, 1.8, 1.2),
        Goal("memory, idle", "MiB", [measured.idle_mib["sidecar"]], 60, 45),
        Goal("memory, 1,000 open streams", "MiB", [runs["sidecar", "slow1000"].rss_mib for runs in measured.rounds], 100, 70),
    ]


def cpu_ratios(measured: Measured, proxy: str, scenario: str, to: str = "nginx") -> list[float]:
    return [own.cpu_each / other.cpu_each for own, other in compared(measured, proxy, scenario, to) if own.cpu_each and other.cpu_each]


def added(measured: Measured, proxy: str, scenario: str, latency: str, quantile: str) -> Iterator[float]:
    """Milliseconds more than direct, one per round."""
    for own, direct in compared(measured, proxy, scenario, "direct"):
        ours, without = (getattr(run.load, latency) for run in (own, direct))
        if ours and without:
            yield getattr(ours, quantile) - getattr(without, quantile)


def compared(measured: Measured, proxy: str, scenario: str, to: str) -> list[tuple[Run, Run]]:
    """The runs through `proxy` and through `to`, side by side, of each round in which little was stolen from both; of the calmest where
    there is no such round.
    """
    pairs = [
        (runs[proxy, scenario], runs[to, scenario]) for runs in measured.rounds if (proxy, scenario) in runs and (to, scenario) in runs
    ]
    pairs.sort(key=_most_stolen)
    return [pair for pair in pairs if _most_stolen(pair) <= MOST_STOLEN] or pairs[:1]


def _most_stolen(pair: tuple[Run, Run]) -> float:
    return max(run.stolen for run in pair)
