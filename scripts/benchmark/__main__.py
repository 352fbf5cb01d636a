"""`scripts/bench`: everything measured, one markdown page on stdout, all figures as JSON beside it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import signal
import sys
import tempfile
import time

from benchmark import distance, goals, report, rounds, soak, starts
from benchmark.install import CACHE, install
from benchmark.processes import Failed
from benchmark.programs import Programs

_PEERS = ("nginx", "haproxy", "litellm", "portkey")
_QUICK_PEERS = ("nginx", "haproxy")


def main() -> int:
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends what has been started, as Ctrl-C does
    command = shlex.join(["scripts/bench", *sys.argv[1:]])
    try:
        if args.install_peers is not None:
            for peer in args.install_peers or _PEERS:
                _say(f"installing {peer}")
                install(peer)
            return 0
        with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as folder:
            text, figures = _soaked(folder, args.soak, command) if args.soak else _measured(folder, args, command)
    except Failed as failed:
        _say(str(failed))
        return 1
    os.makedirs(os.path.dirname(args.json) or ".", exist_ok=True)
    with open(args.json, "w", encoding="utf-8") as file:
        json.dump({"command": command, "machine": report.machine(), "at": time.time(), **figures}, file, indent=1)
    sys.stdout.write(text)
    _say(f"all figures are in {args.json}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the sidecar beside its peers: 4 to 8 minutes a round.")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--rounds", type=int, metavar="N", default=3, help="everything is measured so often (%(default)s)")
    extent.add_argument("--quick", action="store_true", help="one short round without the slow peers: about 3 minutes")
    parser.add_argument("--peers", nargs="*", choices=_PEERS, metavar="NAME", help=f"only these beside the sidecar: {', '.join(_PEERS)}")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="instead: memory under mixed load for so long")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(CACHE, "results.json"), help="where the figures go (%(default)s)")
    parser.add_argument("--install-peers", nargs="*", choices=_PEERS, metavar="NAME", help="install these peers (all), and measure nothing")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"argument --rounds: {args.rounds} is not 1 or more")
    return args


def _measured(folder: str, args: argparse.Namespace, command: str) -> tuple[str, dict[str, object]]:
    quick: bool = args.quick
    chosen = args.peers if args.peers is not None else _QUICK_PEERS if quick else _PEERS
    if quick:
        measured = rounds.measure(Programs(folder), folder, chosen, 1, 0.7, _say)
    else:
        measured = rounds.measure(Programs(folder), folder, chosen, args.rounds, 1.5, _say)
    _say("starts")
    started = starts.measure(_within(folder, "starts"), 2 if quick else 6)
    _say("a gateway 40 ms away")
    far = distance.measure(_within(folder, "distance"), 5 if quick else 15)
    reached = goals.goals(measured, started, far)
    figures: dict[str, object] = {
        "goals": [{**dataclasses.asdict(goal), "verdict": goal.verdict} for goal in reached],
        "runs": [[dataclasses.asdict(run) for run in runs.values()] for runs in measured.rounds],
        "idle_mib": measured.idle_mib,
        "used_mib": measured.used_mib,
        "starts_ms": dataclasses.asdict(started),
        "distance_ms": dataclasses.asdict(far),
    }
    return report.page(measured, reached, started, command), figures


def _soaked(folder: str, minutes: float, command: str) -> tuple[str, dict[str, object]]:
    soaked = soak.measure(Programs(folder), _within(folder, "soak"), minutes, _say)
    return report.soak_page(soaked, command), {"soak": dataclasses.asdict(soaked)}


def _within(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    os.makedirs(path)
    return path


def _say(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
