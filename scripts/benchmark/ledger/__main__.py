"""`scripts/bench-ledger`: makes the year, asks the three questions, prints one markdown table."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from benchmark.ledger import ccusage, ledger_file, transcripts, writing, year
from benchmark.processes import Failed
from benchmark.report import machine

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNS = 7
_OTHERS_RUNS = 3
_GOAL_MS = 300
#: What is asked, of us and of ccusage; it counts whole days.
_QUESTIONS = (
    ("by session, today", ("--by", "session", "--since", "today"), ("session",), 0),
    ("by day, 90 days", ("--by", "day", "--since", "90d"), ("daily",), 90),
    ("by model, a year", ("--by", "model", "--since", "365d"), ("monthly", "--breakdown"), 365),
)
_LONG_MS = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench-ledger", description="A year of heavy use in a temporary ledger: about 5 minutes.")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N", help="how many requests the year has (%(default)s)")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-ledger-") as folder:
        try:
            sys.stdout.write("\n".join([*_measured(folder, rows, time.time()), ""]))
        except Failed as failed:
            _say(str(failed))
            return 1
    return 0


def _measured(folder: str, rows: int, now: float) -> list[str]:
    os.chmod(folder, 0o700)
    home = os.path.join(folder, "home")
    os.mkdir(home, 0o700)
    path = os.path.join(home, "ledger.db")
    _say(f"writing a year of {rows:,} requests")
    count = ledger_file.fill(path, year.requests(rows, now), now)
    size = os.path.getsize(path)
    _say("asking")
    ours = [_median_ms(lambda words=words: _ask(home, words), _RUNS) for _, words, *_ in _QUESTIONS]
    theirs, version = _others(folder, rows, now)
    per_row = writing.microseconds_per_request(os.path.join(folder, "written.db"))
    lines = [
        f"{count:,} requests; {machine()}.  Whole processes, start-up included: median of {_RUNS} runs, of ccusage {_OTHERS_RUNS}, or one where that took longer than {_LONG_MS // 1000} s.",
        "",
        f"| question | `sidecar usage` | goal | {version} |",
        "|---|--:|--:|--:|",
    ]
    for (name, *_), own, other in zip(_QUESTIONS, ours, theirs, strict=True):
        lines.append(f"| {name} | {own:,.0f} ms | {_GOAL_MS} ms | {other} |")
    lines += [
        "",
        f"A request takes the writer {per_row:,.0f} µs of CPU time (opened, closed, priced); a million take {size / count:,.0f} MB on disk.",
    ]
    return lines


def _ask(home: str, words: tuple[str, ...]) -> None:
    command = [os.path.join(os.path.dirname(sys.executable), "sidecar"), "usage", *words]
    environ = {"PATH": os.environ["PATH"], "SIDECAR_HOME": home, "COLUMNS": "120", "LANG": "C.UTF-8"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode or "total" not in done.stdout:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")


def _others(folder: str, rows: int, now: float) -> tuple[list[str], str]:
    """A figure for each question, or why there is none, and what it was measured with."""
    try:
        command, version = ccusage.install()
    except Failed as failed:
        _say(f"ccusage is left out: {failed}")
        return ["left out"] * len(_QUESTIONS), "ccusage"
    _say("writing the same as transcripts")
    there = os.path.join(folder, "claude")
    transcripts.write(there, year.requests(rows, now))
    told = []
    for name, _, words, days in _QUESTIONS:
        _say(f"ccusage {version}: {name}")
        since = datetime.fromtimestamp(now).astimezone() - timedelta(days=days)
        asked = [*words, "--since", since.strftime("%Y%m%d")]
        try:
            told.append(f"{_patient_ms(lambda asked=asked: ccusage.run(command, there, asked)):,.0f} ms")
        except Failed as failed:
            _say(str(failed))
            told.append("failed")
    return told, f"ccusage {version}"


def _patient_ms(act: Callable[[], object]) -> float:
    """What takes long need not be done again to be seen."""
    once = _timed_ms(act)
    return once if once > _LONG_MS else statistics.median([once, *(_timed_ms(act) for _ in range(_OTHERS_RUNS - 1))])


def _median_ms(act: Callable[[], object], runs: int) -> float:
    return statistics.median(_timed_ms(act) for _ in range(runs))


def _timed_ms(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def _say(text: str) -> None:
    sys.stderr.write(f"bench-ledger: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
