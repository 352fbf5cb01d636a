"""The parser for the one command that was asked for, made by argparse from its row of the table.

For what `quick.py` does not read: --help, faults, and the writings that only argparse knows.
"""

from __future__ import annotations

import argparse
import os

from sidecar import __version__
from sidecar.errors import UsageError
from sidecar.launch.commands import COMMANDS, argument
from sidecar.launch.names import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from sidecar.launch.commands import Command

_CONFIG = argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="another configuration file")

_EXIT_CODES = """\
exit codes: 0 done, 1 failed, 2 usage, 3 configuration, 4 credential, 5 the daemon is not running
of run: the agent's own, or 127 no such command, 126 not executable, 125 the sidecar could not do its part"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with `handler` and the command's name as `verb`.  Ends the process for --help, --version and usage faults."""
    at = _options_end(argv, ("--config",))
    top = _top()
    first = top.parse_args(argv[:at])
    if argv[at : at + 1] == ["help"]:  # `help COMMAND` is `COMMAND --help`
        argv = [*argv[:at], *argv[at + 1 :], "--help"] if argv[at + 1 :] else argv[:at]
    words = argv[at : at + 2]
    if not words:
        top.print_help()
        top.exit()
    found = {command.name: command for command in COMMANDS}
    command = found.get(" ".join(words)) or found.get(words[0])
    if command is None:
        _unknown(top, words)
    return _parse_command(command, list(argv[at + len(command.name.split()) :]), first)


def _parse_command(command: Command, rest: list[str], first: argparse.Namespace) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"sidecar {command.name}",
        description=command.help,
        epilog=f"example: {command.example}",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    for names, settings in (*command.arguments, _CONFIG):
        parser.add_argument(*names, **settings)
    if not command.takes_command:
        args = parser.parse_args(rest, first)
    else:
        parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND …", help="the agent and its own arguments")
        valued = [
            name
            for names, settings in (*command.arguments, _CONFIG)
            if "action" not in settings or settings["action"] == "append"
            for name in names
        ]
        at = _options_end(rest, valued)
        args = parser.parse_args(rest[:at], first)
        args.command = rest[at + 1 :] if rest[at : at + 1] == ["--"] else rest[at:]
        if not args.command:
            parser.error(f"what is to be started? for example: {command.example}")
    args.verb, args.handler = command.name, command.handler
    return args


def _options_end(argv: Sequence[str], valued: Sequence[str]) -> int:
    """Where the options end: at the first word that is none and no value of one, or at `--`."""
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "--":
        at += 2 if argv[at] in valued else 1
    return min(at, len(argv))


def _formatter(prog: str) -> argparse.HelpFormatter:
    """With a width of ours: argparse makes a formatter for every argument, and imports shutil to ask for the terminal's."""
    try:
        width = os.get_terminal_size().columns
    except OSError:
        width = 100
    return argparse.RawDescriptionHelpFormatter(prog, width=width - 2)


def _top() -> argparse.ArgumentParser:
    width = max(len(command.name) for command in COMMANDS)
    table = "\n".join(f"  {command.name:{width}}  {command.help}" for command in COMMANDS)
    parser = argparse.ArgumentParser(
        prog="sidecar",
        usage="sidecar [--config FILE] COMMAND …",
        description="Keeps gateway keys away from coding agents, and counts their tokens.",
        epilog=f"commands:\n{table}\n\nsidecar COMMAND --help says more.  To see it work: sidecar demo\n{_EXIT_CODES}",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sidecar {__version__}")
    parser.add_argument("--config", metavar="FILE", help="another configuration file")
    return parser


def _verbs() -> set[str]:
    return {command.name.partition(" ")[0] for command in COMMANDS}


def _unknown(top: argparse.ArgumentParser, words: Sequence[str]) -> NoReturn:
    family = [command for command in COMMANDS if command.name.startswith(f"{words[0]} ")]
    if not family:
        raise UsageError(f"there is no command {words[0]!r}{did_you_mean(words[0], _verbs())}", "sidecar help")
    if words[-1] not in ("-h", "--help") and len(words) > 1:
        raise UsageError(f"there is no command {' '.join(words)!r}", f"one of: {', '.join(command.name for command in family)}")
    lines = [f"usage: sidecar {words[0]} COMMAND", ""]
    lines += [f"  {command.name:16}  {command.help}\n{'':20}example: {command.example}" for command in family]
    print("\n".join(lines))
    top.exit()
