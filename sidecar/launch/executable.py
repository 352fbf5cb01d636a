"""Finds commands on PATH as a shell does, past the wrappers that this program wrote.

Standard library only: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MARKER = "made by sidecar wrapper"
_HEAD_BYTES = 256


class NotFound(Exception):
    """No such command.  The argument is its name."""


class NotExecutable(Exception):
    """There is such a file, and it cannot be started.  The argument is its path."""


def find(command: str, environ: Mapping[str, str]) -> str:
    """The absolute path to start: the first on PATH that is not ours, else the first that is."""
    candidates = list(_candidates(command, environ))
    runnable = [path for path in candidates if os.access(path, os.X_OK) and not os.path.isdir(path)]
    if runnable:
        return next((path for path in runnable if not is_ours(path)), runnable[0])
    if candidates:
        raise NotExecutable(candidates[0])
    raise NotFound(command)


def is_ours(path: str) -> bool:
    """Whether it is a wrapper that `sidecar wrapper` wrote, or the sidecar itself."""
    return is_wrapper(path) or os.path.realpath(path) == os.path.realpath(sys.argv[0])


def is_wrapper(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return MARKER.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _candidates(command: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Existing files; a name with a separator in it is not looked for on PATH."""
    endings = [""]
    if sys.platform == "win32" and not os.path.splitext(command)[1]:
        endings = environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").split(os.pathsep)
    folders = [""] if os.path.dirname(command) else environ.get("PATH", os.defpath).split(os.pathsep)
    for folder in folders:
        for ending in endings:
            path = os.path.abspath(os.path.join(folder, command + ending))
            if os.path.exists(path):
                yield path
