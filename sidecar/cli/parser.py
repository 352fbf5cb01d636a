"""The whole command line as one table, and the parser for the one command that was asked for.

A command is (name, help, example, arguments, "module:function"); its handler is imported after parsing, so that `sidecar run`
loads nothing but what it needs.  Standard library only.
"""

from __future__ import annotations

import argparse
import os

from sidecar import __version__
from sidecar.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn, TypeAlias

    Argument: TypeAlias = tuple[tuple[str, ...], dict[str, Any]]


def _argument(*names: str, **settings: Any) -> Argument:
    return names, settings


_CONFIG = _argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="another configuration file")
_GATEWAY = _argument("-g", "--gateway", metavar="GATEWAY", help="pin this gateway (default: the active one, whichever that is)")
_TAG = _argument("-t", "--tag", metavar="TAG", dest="tags", action="append", default=[], help="tag every request; -t a,b is two tags")
_SESSION = _argument("-s", "--session", metavar="SESSION", help="count everything under this session (default: the agent's own)")
_WHICH = _argument("gateway", metavar="GATEWAY", help="a gateway's name: sidecar gateways")
_JSON = _argument("--json", action="store_true", help="print JSON")

_DIMENSIONS = ("session", "model", "gateway", "tag", "agent", "project", "repo", "branch", "client", "day", "hour", "request")


class Command:
    """One row.  `takes_command`: what follows the options is a command of the user's, with options of its own."""

    __slots__ = ("arguments", "example", "handler", "help", "name", "takes_command")

    def __init__(
        self, name: str, help_: str, example: str, arguments: tuple[Argument, ...], handler: str, *, takes_command: bool = False
    ) -> None:
        self.name = name
        self.help = help_
        self.example = example
        self.arguments = arguments
        self.handler = handler
        self.takes_command = takes_command


COMMANDS = (
    Command(
        "demo",
        "the whole story with no account and no network",
        "sidecar demo --agent claude -- -p 'say hi'",
        (
            _argument("--agent", metavar="COMMAND", help="send this agent through it instead of the built-in conversation"),
            _argument("command", metavar="ARGUMENT", nargs="*", help="after --: the agent's own arguments"),
        ),
        "sidecar.cli.demo:demo",
    ),
    Command(
        "login",
        "store a gateway's key in the keyring",
        "sidecar login vercel",
        (
            _WHICH,
            _argument("--stdin", action="store_true", help="read one line from stdin instead of asking"),
            _argument("--file", action="store_true", help="store it in a file (0600), on machines without a keyring"),
        ),
        "sidecar.cli.login:login",
    ),
    Command("logout", "remove a stored key", "sidecar logout vercel", (_WHICH,), "sidecar.cli.login:logout"),
    Command(
        "run",
        "start an agent that goes through the sidecar",
        "sidecar run -g vercel -t review -- claude -p 'say hi'",
        (_GATEWAY, _TAG, _SESSION),
        "sidecar.cli.run:run",
        takes_command=True,
    ),
    Command(
        "env",
        "print what run would set, as shell exports",
        'eval "$(sidecar env -g vercel)"',
        (_GATEWAY, _TAG, _SESSION, _argument("--json", action="store_true", help="as the env block of a settings file")),
        "sidecar.cli.passes:env",
    ),
    Command(
        "wrapper",
        "write a command that starts an agent through one gateway",
        "sidecar wrapper vercel    # writes ~/.local/bin/claude-vercel",
        (
            _WHICH,
            _argument("--name", metavar="NAME", help="the command's name (default: AGENT-GATEWAY)"),
            _argument("--dir", metavar="DIR", default="~/.local/bin", help="where to write it (default: %(default)s)"),
            _argument("--agent", metavar="COMMAND", default="claude", help="the agent it starts (default: %(default)s)"),
        ),
        "sidecar.cli.wrapper:wrapper",
    ),
    Command("serve", "the proxy in the foreground", "sidecar serve", (), "sidecar.cli.service:serve"),
    Command("start", "start the daemon in the background", "sidecar start", (), "sidecar.cli.service:start"),
    Command(
        "stop",
        "stop it, after the open streams have ended",
        "sidecar stop --now",
        (_argument("--now", action="store_true", help="do not wait for open streams"),),
        "sidecar.cli.service:stop",
    ),
    Command("restart", "start a new one in its place; open streams end in peace", "sidecar restart", (), "sidecar.cli.service:restart"),
    Command("status", "is it running, and how", "sidecar status --json", (_JSON,), "sidecar.cli.service:status"),
    Command(
        "logs",
        "show the log",
        "sidecar logs -f",
        (
            _argument("-f", "--follow", action="store_true", help="go on as it grows"),
            _argument("-n", "--lines", metavar="N", type=int, default=100, help="how many lines to begin with (default: %(default)s)"),
        ),
        "sidecar.cli.logs:logs",
    ),
    Command("use", "make a gateway the active one", "sidecar use edgee", (_WHICH,), "sidecar.cli.use:use"),
    Command("gateways", "which gateways there are, and which have a key", "sidecar gateways", (_JSON,), "sidecar.cli.gateways:gateways"),
    Command(
        "usage",
        "tokens and cost",
        "sidecar usage --by model --since 7d",
        (
            _argument("--by", choices=_DIMENSIONS, metavar="WHAT", help=f"one of {', '.join(_DIMENSIONS)} (default: session)"),
            _argument("--since", metavar="WHEN", help="7d, 12h, a date or a time (default: today)"),
            _argument("--until", metavar="WHEN", help="the same (default: now)"),
            _argument("-s", "--session", metavar="ID", help="this session's story; its beginning is enough (with --by: only this session)"),
            _argument("-g", "--gateway", metavar="GATEWAY", help="only this gateway"),
            _argument("--reprice", action="store_true", help="first compute the cost of these requests anew, at today's table and terms"),
            _JSON,
            _argument("--csv", action="store_true", help="print CSV"),
        ),
        "sidecar.cli.usage:usage",
    ),
    Command(
        "usage export",
        "the whole ledger, for other programs",
        "sidecar usage export --format parquet --output usage.parquet",
        (
            _argument("--format", choices=("jsonl", "parquet"), default="jsonl", help="JSON lines, or Parquet, which needs pyarrow"),
            _argument("--output", metavar="FILE", help="write to this file (default: print)"),
        ),
        "sidecar.cli.export:export",
    ),
    Command("top", "what runs now, live, and what today has come to", "sidecar top", (_JSON,), "sidecar.cli.top:top"),
    Command(
        "statusline",
        "one line for Claude Code's status line: gateway, tokens, cost, what is left of the budget",
        "sidecar statusline --install",
        (
            _argument("--install", action="store_true", help="add it to Claude Code's settings, beside the status line that is there"),
            _argument("--remove", action="store_true", help="take it out again"),
            _argument("--beside", metavar="COMMAND", help="run this status line too, and show its output first"),
        ),
        "sidecar.cli.statusline:statusline",
    ),
    Command(
        "token",
        "print a pass, for a client that run does not start",
        "sidecar token -g vercel --ttl 8h",
        (
            _GATEWAY,
            _TAG,
            _SESSION,
            _argument("--ttl", metavar="TIME", default="90d", help="how long it is good for: 45m, 8h, 90d (default: %(default)s)"),
            _argument("--rotate", action="store_true", help="make all passes so far invalid, and print none"),
        ),
        "sidecar.cli.passes:token",
    ),
    Command("config path", "where the configuration file is", "sidecar config path", (), "sidecar.cli.config:path"),
    Command("config check", "is it right: every fault with its line", "sidecar config check", (), "sidecar.cli.config:check"),
    Command("config show", "what is in force, defaults included", "sidecar config show --json", (_JSON,), "sidecar.cli.config:show"),
    Command("doctor", "check everything that can be wrong", "sidecar doctor", (_JSON,), "sidecar.cli.doctor:doctor"),
)

_EXIT_CODES = """\
exit codes: 0 done, 1 failed, 2 usage, 3 configuration, 4 credential, 5 the daemon is not running
of run: the agent's own, or 127 no such command, 126 not executable, 125 the sidecar could not do its part"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with `handler` and the command's name as `verb`.  Ends the process for --help, --version and usage faults."""
    at = _options_end(argv, ("--config",))
    top = _top()
    first = top.parse_args(argv[:at])
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


def _unknown(top: argparse.ArgumentParser, words: Sequence[str]) -> NoReturn:
    family = [command for command in COMMANDS if command.name.startswith(f"{words[0]} ")]
    if not family:
        raise UsageError(f"there is no command {words[0]!r}", "sidecar --help")
    if words[-1] not in ("-h", "--help") and len(words) > 1:
        raise UsageError(f"there is no command {' '.join(words)!r}", f"one of: {', '.join(command.name for command in family)}")
    lines = [f"usage: sidecar {words[0]} COMMAND", ""]
    lines += [f"  {command.name:16}  {command.help}\n{'':20}example: {command.example}" for command in family]
    print("\n".join(lines))
    top.exit()
