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
#: The line of a wrapper that names its agent, for `find` to read.
AGENT_LINE = "# agent: "
_HEAD_BYTES = 256
_WRAPPER_BYTES = 64 * 1024


class NotFound(Exception):
    """No such command.  The argument is its name."""


class AgentGone(Exception):
    """Nothing has the name but a wrapper whose agent is no longer where it was.  The argument is the wrapper's path."""


class NotExecutable(Exception):
    """There is such a file, and it cannot be started.  The argument is its path."""


def find(command: str, environ: Mapping[str, str]) -> str:
    """The absolute path to start: the first on PATH that is not ours, else the first wrapper.

    A wrapper whose agent has gone would look for that agent by its name: it is passed over if that name is its own, because it would
    find itself.
    """
    candidates = list(_candidates(command, environ))
    runnable = [path for path in candidates if os.access(path, os.X_OK) and not os.path.isdir(path)]
    if found := next((path for path in runnable if not is_ours(path)), None):
        return found
    if found := next((path for path in runnable if not _leads_back(path)), None):
        return found
    if runnable:
        raise AgentGone(runnable[0])
    if candidates:
        raise NotExecutable(candidates[0])
    raise NotFound(command)


def is_ours(path: str) -> bool:
    """Whether it is a wrapper that `sidecar wrapper` wrote, or the sidecar itself."""
    return is_wrapper(path) or os.path.realpath(path) == os.path.realpath(sys.argv[0])


def is_wrapper(path: str) -> bool:
    return MARKER.encode() in _beginning(path, _HEAD_BYTES)


def _leads_back(path: str) -> bool:
    """Whether it is a wrapper that has the name of its agent, and the agent is no longer where it was."""
    for line in os.fsdecode(_beginning(path, _WRAPPER_BYTES)).splitlines():
        if line.startswith(AGENT_LINE):
            agent = line.removeprefix(AGENT_LINE)
            return os.path.basename(agent) == os.path.basename(path) and not os.access(agent, os.X_OK)
    return False


def _beginning(path: str, length: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(length)
    except OSError:
        return b""


def _candidates(command: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Existing files; a name with a separator in it is not looked for on PATH."""
    endings = [""]
    if sys.platform == "win32" and not os.path.splitext(command)[1]:
        endings = environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").split(os.pathsep)
    folders = [""] if os.path.dirname(command) else environ.get("PATH", os.defpath).split(os.pathsep)
    for folder in folders:
        for ending in endings:
            path = os.path.join(folder, command + ending)
            if os.path.exists(path):  # a relative one does not in a working folder that has been deleted
                yield os.path.abspath(path)
