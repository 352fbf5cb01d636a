"""`sidecar wrapper`: a command of its own for one agent through one gateway, `claude-vercel`."""

from __future__ import annotations

import os
import re
import sys
from shlex import quote
from typing import TYPE_CHECKING

from sidecar.config.load import load
from sidecar.errors import SidecarError, UsageError
from sidecar.gateways.presets import unknown_gateway
from sidecar.launch import executable, places
from sidecar.launch.places import new_private

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

#: The words behind the sidecar's own path in a wrapper.
_STARTS = re.compile(r" (--config (?P<config>[^\n]+) )?run -g (?P<gateway>[A-Za-z0-9._-]+) -- ")


def wrapper(args: Namespace) -> int:
    gateways = load(args.places).gateways
    if args.gateway not in gateways:
        raise unknown_gateway(args.gateway, gateways)
    agent = _agent(args.agent)
    folder = os.path.abspath(os.path.expanduser(args.dir))
    target = os.path.join(folder, _file_name(args.name or f"{_stem(agent)}-{args.gateway}"))
    if os.path.lexists(target):
        _refuse_foreign(target)
    sidecar = [own_command(), *(["--config", args.places.config_file] if args.config else [])]
    text = _cmd(sidecar, args.gateway, agent) if sys.platform == "win32" else script(sidecar, args.gateway, agent)
    os.makedirs(folder, exist_ok=True)
    temporary = new_private(target, os.fsencode(text))
    os.chmod(temporary, 0o755)  # noqa: S103 - a command, with no secret in it
    os.replace(temporary, target)
    print(f"{target} starts {agent} through gateway {args.gateway}.")
    if not any(os.path.realpath(entry) == os.path.realpath(folder) for entry in os.get_exec_path()):
        print(f"{folder} is not on PATH: add it, or call the command by its full path.")
    if _stem(agent) == "claude" and not args.name:
        print(
            f"Claude Code ends with the line `claude --resume ID`, which goes past the sidecar: type {os.path.basename(target)} --resume ID,"
        )
        print(f"or have plain claude go through as well: sidecar wrapper {args.gateway} --name claude")
    return 0


def script(sidecar: list[str], gateway: str, agent: str) -> str:
    """POSIX sh.  Sidecar and agent by the paths they have now, or from PATH when a new installation has moved them."""
    path, *options = sidecar
    words = " ".join(quote(word) for word in (*options, "run", "-g", gateway, "--"))
    moved = quote(f"sidecar: {agent} is gone, starting {_stem(agent)} from PATH; write this wrapper again: sidecar wrapper {gateway}")
    return (
        "#!/bin/sh\n"
        f"# {executable.MARKER}: it may overwrite this file\n"
        f"{executable.AGENT_LINE}{' '.join(agent.splitlines())}\n"
        f"sidecar={quote(path)}\n"
        f"agent={quote(agent)}\n"
        '[ -x "$sidecar" ] || sidecar=sidecar\n'
        'if [ ! -x "$agent" ]; then\n'
        f"    echo {moved} >&2\n"
        f"    agent={quote(_stem(agent))}\n"
        "fi\n"
        f'exec "$sidecar" {words} "$agent" "$@"\n'
    )


def _cmd(sidecar: list[str], gateway: str, agent: str) -> str:
    """The same for Windows.  A percent sign in a path is doubled: the shell would take it for a variable."""
    path, *words = (f'"{word.replace("%", "%%")}"' for word in (*sidecar, "run", "-g", gateway, "--"))
    quoted, name = (f'"{word.replace("%", "%%")}"' for word in (agent, _stem(agent)))
    moved = f"sidecar: {quoted} is gone, starting {name} from PATH; write this wrapper again: sidecar wrapper {gateway}"
    lines = (
        "@echo off",
        f"rem {executable.MARKER}: it may overwrite this file",
        f"set SIDECAR_COMMAND={path}",
        f"if not exist {path} set SIDECAR_COMMAND=sidecar",
        f"set SIDECAR_AGENT={quoted}",
        f"if not exist {quoted} echo {moved} 1>&2",
        f"if not exist {quoted} set SIDECAR_AGENT={name}",
    )
    return "\r\n".join((*lines, f"%SIDECAR_COMMAND% {' '.join(words)} %SIDECAR_AGENT% %*", ""))


def wrappers(environ: Mapping[str, str], config_file: str) -> Iterator[tuple[str, str]]:
    """Path and gateway of every wrapper on PATH and in `~/.local/bin` whose configuration is `config_file`."""
    usual = places.find(environ).config_file
    folders = [*environ.get("PATH", "").split(os.pathsep), os.path.expanduser("~/.local/bin")]
    for folder in dict.fromkeys(os.path.realpath(folder) for folder in folders if folder):
        try:
            paths = sorted(entry.path for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
        except OSError:
            continue
        for path in filter(executable.is_wrapper, paths):
            if (found := _STARTS.search(_text(path))) and (found["config"] or usual) == config_file:
                yield path, found["gateway"]


def _text(path: str) -> str:
    """With every word as it is, out of its quotes."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().replace("'", "").replace('"', "")


def own_command() -> str:
    """The absolute path of the command `sidecar` that is running, links kept: they survive an upgrade."""
    name = "sidecar.exe" if sys.platform == "win32" else "sidecar"
    for path in (os.path.abspath(sys.argv[0]), os.path.join(os.path.dirname(sys.executable), name)):
        if _stem(path) == "sidecar" and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    try:
        return executable.find("sidecar", os.environ)
    except (executable.NotFound, executable.AgentGone, executable.NotExecutable):
        raise SidecarError("the command sidecar is not installed", "pipx install agent-sidecar, or call it by its path") from None


def _agent(command: str) -> str:
    hint = "name it by its path: --agent /path/to/claude"
    try:
        path = executable.find(os.path.expanduser(command), os.environ)
    except executable.NotFound:
        raise SidecarError(f"{command} is not on PATH", hint) from None
    except executable.AgentGone as error:
        raise SidecarError(f"{error} is a wrapper of the sidecar's own, and the agent that it starts is gone", hint) from None
    except executable.NotExecutable as error:
        raise SidecarError(f"{error} is not executable", hint) from None
    if executable.is_ours(path):
        raise SidecarError(f"{path} is a wrapper of the sidecar's own, not an agent", hint)
    return path


def _refuse_foreign(target: str) -> None:
    hint = "choose another name: --name NAME"
    if os.path.islink(target):
        raise SidecarError(f"{target} is a link; nothing was written", hint)
    if not os.path.isfile(target) or not executable.is_wrapper(target):
        raise SidecarError(f"{target} was not made by sidecar wrapper; nothing was written", hint)


def _file_name(name: str) -> str:
    if name in (".", "..") or os.path.basename(name) != name or not name.isprintable():
        raise UsageError(f"not a file name: {name!r}", "the folder is named by --dir")
    return f"{name}.cmd" if sys.platform == "win32" and not name.lower().endswith(".cmd") else name


def _stem(path: str) -> str:
    name = os.path.basename(path)
    return os.path.splitext(name)[0] if sys.platform == "win32" else name
