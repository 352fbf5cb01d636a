"""The daemon process: `python -m sidecar.server [--config FILE] [--replace]`, started by `sidecar start` and `restart`.

stdin brings the environment of the shell that started it, as one JSON object; its own holds nothing but what a process needs.
stdout gets one JSON line when it serves or does not, and is then let go of.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from sidecar.errors import SidecarError
from sidecar.launch import places
from sidecar.server.start import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sidecar.server")
    parser.add_argument("--config")
    parser.add_argument("--replace", action="store_true")
    given = parser.parse_args()
    environ = json.loads(sys.stdin.buffer.read() or b"{}")
    try:
        here = places.find(os.environ, given.config)
    except SidecarError as error:
        _ready({"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
        return error.exit_code
    return serve(here, environ, console=False, ready=_ready, replace=given.replace)


def _ready(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
