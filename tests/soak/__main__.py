"""`scripts/soak`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from soak.soak import Soak


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description="Load, faults and reloads against a real daemon; compares everything."
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (default: %(default)s)")
    parser.add_argument("--agents", type=int, default=8, help="how many ask at the same time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another one asks for other things (default: %(default)s)")
    given = parser.parse_args()
    soak = Soak(given.minutes * 60, given.agents, given.seed)
    with tempfile.TemporaryDirectory(prefix="sidecar-soak-") as folder:
        asyncio.run(soak.run(Path(folder)))
    print(soak.table())
    return 1 if soak.differences else 0


if __name__ == "__main__":
    sys.exit(main())
