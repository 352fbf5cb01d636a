"""Figures -> one markdown page: the goals, then everything that was measured, peers beside it."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
from typing import TYPE_CHECKING

from benchmark.goals import TIMES, added, cpu_ratios
from benchmark.rounds import MOST_STOLEN, TRIES
from benchmark.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmark.goals import Goal
    from benchmark.rounds import Measured, Run
    from benchmark.scenarios import Scenario
    from benchmark.soak import Soak
    from benchmark.starts import Starts

#: Before it, what grows in a minute and goes again would make a rate of nothing.
_A_WHILE_MINUTES = 10


def machine() -> str:
    """What the figures were measured on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def page(measured: Measured, goals: Sequence[Goal], starts: Starts, command: str) -> str:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    through = list(measured.idle_mib)
    sections = [
        f"`{command}` on {today}: {machine()}. Rounds: {len(measured.rounds)}; medians, with the least and the greatest. The proxies had one core, the load another.",
        _stolen(measured),
        *([f"Not installed, so left out: {', '.join(measured.missing)}."] if measured.missing else []),
        _table(["measure", "measured", "must", "goal", "verdict"], map(_goal_row, goals)),
        "Wall time of whole commands, ms:",
        _table(["command", "took"], ([name, _spread(values)] for name, values in _commands(starts))),
        "CPU seconds of the whole process tree, per million events or (JSON and large requests) per 1,000 requests, and against nginx:",
        _table(["scenario", *through], ([_name(each), *(_cpu(measured, name, each) for name in through)] for each in SCENARIOS)),
        "Latency added to direct, ms: first byte p50; then per event p50 / p99:",
        _table(["scenario", *through], ([_name(each), *(_latency(measured, name, each) for name in through)] for each in SCENARIOS)),
        "Memory of the process tree, and what became of the replies:",
        _table(["", *through], _wholes(measured, through)),
    ]
    return "\n\n".join(sections) + "\n"


def _stolen(measured: Measured) -> str:
    shares = [100 * run.stolen for runs in measured.rounds for run in runs.values()]
    return (
        f"Other machines on the same hardware took {statistics.median(shares):.1f} % of this one's time ({max(shares):.1f} at most in one "
        f"run); runs of which they took more than {100 * MOST_STOLEN:g} were repeated, up to {TRIES - 1} "
        "times, and as often again at the end of their round. Ratios and differences are of the rounds in which both runs were calmer than "
        "that, or of the calmest."
    )


def soak_page(soak: Soak, command: str) -> str:
    first, last = soak.samples[0], soak.samples[-1]
    growth, an_hour = soak.growth()
    rate = f", {an_hour:+.1f} MiB an hour" if last[0] >= _A_WHILE_MINUTES else " (too short a time to tell the growth in an hour)"
    return (
        f"`{command}`: {machine()}. {soak.requests} requests in {last[0]:.1f} minutes, {soak.faults} of them at fault.\n\n"
        f"{first[1]:.1f} MiB after the first time around, {last[1]:.1f} MiB after the last; growth after the first fifth: {growth:+.1f} MiB{rate}.\n"
    )


def _commands(starts: Starts) -> Iterator[tuple[str, list[float]]]:
    yield "`true`", starts.true
    yield "`python -c pass`", starts.python
    yield "`sidecar run -- true`, the daemon running", starts.run
    yield "`sidecar run -- true`, the daemon not running", starts.cold_run
    yield "`sidecar statusline`", starts.statusline
    yield "`sidecar usage`", starts.usage
    yield "`sidecar serve` to its first answer", starts.serve
    yield '`python -c "import aiohttp.web"`', starts.aiohttp


def _goal_row(goal: Goal) -> list[str]:
    must = "" if goal.must is None else f"≤ {goal.must:g}"
    measured = f"{_spread(goal.values)} {goal.unit}".strip() if goal.values else ""
    return [goal.measure, measured, must, f"≤ {goal.goal:g}", goal.verdict]


def _name(scenario: Scenario) -> str:
    return f"{scenario.name}: {scenario.what}"


def _cpu(measured: Measured, proxy: str, scenario: Scenario) -> str:
    runs = _runs(measured, proxy, scenario.name)
    if not runs:
        return ""
    each = [run.cpu_each * (1e6 if run.events else 1e3) for run in runs if run.cpu_each]
    if not each:
        return "all failed"
    ratios = cpu_ratios(measured, proxy, scenario.name)
    return _spread(each) + (f" {statistics.median(ratios):.3g}{TIMES}" if ratios and proxy != "nginx" else "")


def _latency(measured: Measured, proxy: str, scenario: Scenario) -> str:
    first_byte, p50, p99 = (
        list(added(measured, proxy, scenario.name, latency, quantile))
        for latency, quantile in (("first_byte_ms", "p50"), ("event_ms", "p50"), ("event_ms", "p99"))
    )
    if not first_byte or not any(run.load.requests for run in _runs(measured, proxy, scenario.name)):
        return ""
    events = f"; {statistics.median(p50):.2f} / {statistics.median(p99):.2f}" if p50 else ""
    return f"{statistics.median(first_byte):.2f}{events}"


def _wholes(measured: Measured, proxies: Sequence[str]) -> Iterator[list[str]]:
    every = {proxy: [run for runs in measured.rounds for (name, _), run in runs.items() if name == proxy] for proxy in proxies}
    slow = {proxy: [run.rss_mib for run in _runs(measured, proxy, "slow1000")] for proxy in proxies}
    yield ["idle, MiB", *(f"{measured.idle_mib[proxy]:.0f}" for proxy in proxies)]
    yield ["after a first request, MiB", *(f"{measured.used_mib[proxy]:.0f}" for proxy in proxies)]
    yield ["1,000 open streams, MiB", *(f"{statistics.median(slow[proxy]):.0f}" if slow[proxy] else "" for proxy in proxies)]
    yield [
        "KiB per open stream",
        *(f"{(statistics.median(slow[proxy]) - measured.used_mib[proxy]) * 1.024:.0f}" if slow[proxy] else "" for proxy in proxies),
    ]
    yield ["whole replies", *(str(sum(run.load.requests for run in every[proxy])) for proxy in proxies)]
    yield ["of them with other bytes", *(str(sum(run.load.different for run in every[proxy])) for proxy in proxies)]
    yield ["failed", *(str(sum(run.load.failed for run in every[proxy])) for proxy in proxies)]
    yield ["unfinished", *(str(sum(run.load.unfinished for run in every[proxy])) for proxy in proxies)]


def _runs(measured: Measured, proxy: str, scenario: str) -> list[Run]:
    return [runs[proxy, scenario] for runs in measured.rounds if (proxy, scenario) in runs]


def _spread(values: Sequence[float]) -> str:
    """The median, and where there are several values the least and the greatest."""
    median = f"{statistics.median(values):.3g}"
    return median if len(values) == 1 else f"{median} ({min(values):.3g} to {max(values):.3g})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
