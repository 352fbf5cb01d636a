"""Prints the fault matrix with a verdict for every cell, played on the event loop that the daemon runs on: `scripts/faults`."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog
import uvloop
from faults.peers import authority
from faults.promises import Result
from faults.stage import Verdict, judged
from faults.table import Cell, cells


async def main(folder: Path) -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    authority().cert_pem.write_to_path(folder / "ca.pem")
    table = list(cells())
    kept = 0
    print("| fault | met | promised | verdict |\n|---|---|---|---|")
    for cell in table:
        verdict = await _verdict(cell, folder)
        differences = verdict.differences if isinstance(verdict, Verdict) else (verdict,)
        kept += not differences
        told = _told(verdict.promised) if isinstance(verdict, Verdict) else ""
        print(f"| {cell.fault.name} | {', '.join(cell.axes)} | {told} | {'; '.join(differences) or 'as promised'} |", flush=True)
    print(f"\n{len(table)} cells, {kept} as promised")
    return 0 if kept == len(table) else 1


async def _verdict(cell: Cell, folder: Path) -> Verdict | str:
    """The verdict, or why there is none."""
    try:
        return await judged(cell, Path(tempfile.mkdtemp(dir=folder)), folder / "ca.pem")
    except Exception as error:  # noqa: BLE001  the other cells have their turn
        return f"{type(error).__name__}: {error}"


def _told(result: Result) -> str:
    """One line of what the agent gets and of what the ledger says."""
    if result.status is None:
        return f"nothing; row {result.outcome}"
    what = result.code or f"{len(result.body)} bytes, {'whole' if result.is_whole else 'cut'}"
    kind = f" {result.error_type}" if result.error_type not in {None, result.code} else ""
    return f"{result.status}, {what}; row {result.outcome}{kind}, usage {result.usage[0]}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as own, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main(Path(own))))
