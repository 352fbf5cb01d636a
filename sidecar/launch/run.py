"""`sidecar run`: prepare everything, then become the agent.

Standard library only, and little of it: this runs before every start of an agent.
"""

from __future__ import annotations

import os
import sys

from sidecar.launch import executable, lean_json
from sidecar.launch.environment import applied
from sidecar.launch.files import read_regular
from sidecar.launch.prepare import prepare
from sidecar.launch.surroundings import say, working_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

_NOT_EXECUTABLE = 126
_LARGEST_SETTINGS = 4 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOT_FOUND = 127
_RENEW = "an agent that has moved needs its wrapper written again: sidecar wrapper GATEWAY"
# Ignored in settings files while the host flag is set: Claude Code 2.1.197.
_IGNORED = frozenset({"ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL"})


def run(args: Namespace) -> int:
    """Returns only when the agent could not be started (or on Windows, which cannot replace a process)."""
    try:
        path = executable.find(args.command[0], os.environ)
    except executable.NotFound as error:
        say(f"{error}: command not found", _RENEW if os.path.isabs(args.command[0]) else "")
        return _NOT_FOUND
    except executable.AgentGone as error:
        say(f"{error} is a wrapper, and the agent that it starts is neither where it was nor on PATH", _RENEW)
        return _NOT_FOUND
    except executable.NotExecutable as error:
        say(f"{error}: not executable")
        return _NOT_EXECUTABLE
    environment = applied(os.environ, prepare(args, os.environ))
    for file, names in ignored_settings(environment, working_folder()):
        say(f"Claude Code ignores {', '.join(names)} in {file} here", "put it under agent_env of the gateway: sidecar config path")
    try:
        return _become(path, args.command, environment)
    except OSError as error:
        say(f"{path}: {error.strerror}")
        return _NOT_EXECUTABLE


if sys.platform == "win32":

    def _become(path: str, command: list[str], environment: dict[str, str]) -> int:
        import subprocess  # noqa: PLC0415 - slow to import, and needed on Windows alone

        return subprocess.call([path, *command[1:]], env=environment)  # noqa: S603 - starting it is what the user asked for

else:
    # `signal` is these, with names for the numbers: 3 ms to import.
    from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal  # type: ignore[import-not-found]

    def _become(path: str, command: list[str], environment: dict[str, str]) -> int:
        # Python ignores these two, and an ignored signal stays ignored in the new program.
        for number in (SIGPIPE, SIGXFSZ):
            signal(number, SIG_DFL)
        os.execve(path, command, environment)  # noqa: S606 - starting it is what the user asked for


def ignored_settings(environment: Mapping[str, str], cwd: str | None) -> Iterator[tuple[str, list[str]]]:
    """Claude's settings files with variables in them that have no effect, unless the environment says the same already."""
    for file, variables in settings_files(environment, cwd):
        if names := [name for name in variables if _is_ignored(name) and name not in environment]:
            yield file, names


def settings_files(environment: Mapping[str, str], cwd: str | None) -> Iterator[tuple[str, dict[str, object]]]:
    """Claude's settings files, the user's and the project's, each with the variables that it sets."""
    user = environment.get("CLAUDE_CONFIG_DIR") or os.path.join(os.path.expanduser("~"), ".claude")
    files = [os.path.join(user, "settings.json")]
    if cwd is not None:
        files += [os.path.join(cwd, ".claude", name) for name in ("settings.json", "settings.local.json")]
    for file in dict.fromkeys(files):  # at home, the project's is the user's
        try:
            variables = lean_json.loads(read_regular(file, _LARGEST_SETTINGS).removeprefix(_BYTE_ORDER_MARK))["env"]
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if isinstance(variables, dict):
            yield file, variables


def _is_ignored(name: str) -> bool:
    return name in _IGNORED or (name.startswith("ANTHROPIC_DEFAULT_") and "_MODEL" in name)
