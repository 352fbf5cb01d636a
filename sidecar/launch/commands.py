"""The whole command line as one table.

A command is (name, help, example, arguments, "module:function"); an argument is what argparse's `add_argument` takes.  The handler
is imported when it is asked for, so that `sidecar run` loads nothing but what it needs.  Standard library only.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Argument: TypeAlias = tuple[tuple[str, ...], dict[str, Any]]


def argument(*names: str, **settings: Any) -> Argument:
    return names, settings


_GATEWAY = argument("-g", "--gateway", metavar="GATEWAY", help="pin this gateway (default: the active one, whichever that is)")
_TAG = argument("-t", "--tag", metavar="TAG", dest="tags", action="append", default=[], help="tag every request; -t a,b is two tags")
_SESSION = argument("-s", "--session", metavar="SESSION", help="count everything under this session (default: the agent's own)")
_WHICH = argument("gateway", metavar="GATEWAY", help="a gateway's name: sidecar gateways")
_JSON = argument("--json", action="store_true", help="print JSON")

_TTL = argument("--ttl", metavar="TIME", default="90d", help="how long the pass is good for: 45m, 8h, 90d (default: %(default)s)")
_HERE = argument("--here", action="store_true", help="count it under this folder's project, and follow its .sidecar.yaml")

_ORDERS = ("time", "cost", "input", "output", "requests", "name")
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
            argument("--agent", metavar="COMMAND", help="send this agent through it instead of the built-in conversation"),
            argument("command", metavar="ARGUMENT", nargs="*", help="after --: the agent's own arguments"),
        ),
        "sidecar.cli.running.demo:demo",
    ),
    Command(
        "login",
        "store a gateway's key in the keyring",
        "sidecar login vercel",
        (
            argument("gateway", metavar="GATEWAY", nargs="?", help="a gateway's name (default: list them)"),
            argument(
                "--base-url",
                metavar="URL",
                help="where the gateway runs, for one without a default address: writes it into the configuration",
            ),
            argument(
                "--check",
                action="store_true",
                default=None,
                help="try the key with a request that costs nothing, and store it only if it is not refused",
            ),
            argument("--no-check", action="store_false", dest="check", default=None, help="do not offer to try it"),
            argument("--stdin", action="store_true", help="read one line from stdin instead of asking"),
            argument("--file", action="store_true", help="store it in a file (0600), on machines without a keyring"),
        ),
        "sidecar.cli.setup.login:login",
    ),
    Command("logout", "remove a stored key", "sidecar logout vercel", (_WHICH,), "sidecar.cli.setup.login:logout"),
    Command(
        "run",
        "start an agent that goes through the sidecar",
        "sidecar run -g vercel -t review -- claude -p 'say hi'\n"
        "  sidecar run -- claude --resume ID    # plain `claude --resume ID` goes past it; sidecar wrapper vercel --name claude mends that",
        (_GATEWAY, _TAG, _SESSION),
        "sidecar.launch.run:run",
        takes_command=True,
    ),
    Command(
        "env",
        "print what run would set, as shell exports",
        'eval "$(sidecar env -g vercel)"',
        (_GATEWAY, _TAG, _SESSION, _TTL, _HERE, argument("--json", action="store_true", help="as the env block of a settings file")),
        "sidecar.cli.setup.passes:env",
    ),
    Command(
        "wrapper",
        "write a command that starts an agent through one gateway",
        "sidecar wrapper vercel    # writes ~/.local/bin/claude-vercel",
        (
            _WHICH,
            argument("--name", metavar="NAME", help="the command's name (default: AGENT-GATEWAY)"),
            argument("--dir", metavar="DIR", default="~/.local/bin", help="where to write it (default: %(default)s)"),
            argument("--agent", metavar="COMMAND", default="claude", help="the agent it starts (default: %(default)s)"),
        ),
        "sidecar.cli.setup.wrapper:wrapper",
    ),
    Command("serve", "the proxy in the foreground", "sidecar serve", (), "sidecar.cli.running.service:serve"),
    Command("start", "start the daemon in the background", "sidecar start", (), "sidecar.cli.running.service:start"),
    Command(
        "stop",
        "stop it, after the open streams have ended",
        "sidecar stop --now",
        (argument("--now", action="store_true", help="do not wait for open streams"),),
        "sidecar.cli.running.service:stop",
    ),
    Command(
        "restart", "start a new one in its place; open streams end in peace", "sidecar restart", (), "sidecar.cli.running.service:restart"
    ),
    Command("status", "is it running, and how", "sidecar status --json", (_JSON,), "sidecar.cli.running.service:status"),
    Command(
        "logs",
        "show the log",
        "sidecar logs -f",
        (
            argument("-f", "--follow", action="store_true", help="go on as it grows"),
            argument("-n", "--lines", metavar="N", type=int, default=100, help="how many lines to begin with (default: %(default)s)"),
            argument("--json", action="store_true", help="every field, as the log has it"),
        ),
        "sidecar.cli.running.logs:logs",
    ),
    Command(
        "use",
        "make a gateway the active one",
        "sidecar use edgee",
        (_WHICH, argument("--here", action="store_true", help="for this checkout only: in its .sidecar.yaml"), _JSON),
        "sidecar.cli.setup.use:use",
    ),
    Command(
        "trust",
        "follow what this checkout's .sidecar.yaml asks for",
        "sidecar trust",
        (argument("--no", action="store_true", help="do not follow it, and do not ask again"),),
        "sidecar.cli.setup.use:trust",
    ),
    Command(
        "gateways", "which gateways there are, and which have a key", "sidecar gateways", (_JSON,), "sidecar.cli.setup.gateways:gateways"
    ),
    Command(
        "usage",
        "tokens and cost",
        "sidecar usage --by model --since 7d",
        (
            argument("--by", choices=_DIMENSIONS, metavar="WHAT", help=f"one of {', '.join(_DIMENSIONS)} (default: session)"),
            argument("--since", metavar="WHEN", help="7d, 12h, a date or a time (default: today)"),
            argument("--until", metavar="WHEN", help="the same (default: now)"),
            argument("-s", "--session", metavar="ID", help="this session's story; its beginning is enough (with --by: only this session)"),
            argument("-g", "--gateway", metavar="GATEWAY", help="only this gateway"),
            argument("--sort", choices=_ORDERS, metavar="ORDER", help=f"one of {', '.join(_ORDERS)}, the most last (default: time)"),
            argument("--limit", metavar="N", type=int, help="only the last N rows; the total is of all"),
            argument("--reprice", action="store_true", help="first compute the cost of these requests anew, at today's table and terms"),
            _JSON,
            argument("--csv", action="store_true", help="print CSV"),
        ),
        "sidecar.cli.reports.usage:usage",
    ),
    Command(
        "usage export",
        "the whole ledger, for other programs",
        "sidecar usage export --format parquet --output usage.parquet",
        (
            argument("--format", choices=("jsonl", "parquet"), default="jsonl", help="JSON lines, or Parquet, which needs pyarrow"),
            argument("--output", metavar="FILE", help="write to this file (default: print)"),
        ),
        "sidecar.cli.reports.export:export",
    ),
    Command(
        "prices",
        "models that were used and have no price",
        "sidecar prices",
        (_JSON,),
        "sidecar.cli.reports.prices:prices",
    ),
    Command(
        "prices update",
        "fetch the newest price table, now and only now",
        "sidecar prices update --file data.json    # a copy of the table, on machines without network",
        (argument("--file", metavar="FILE", help="take this file instead of fetching it"),),
        "sidecar.cli.reports.prices:update",
    ),
    Command("top", "what runs now, live, and what today has come to", "sidecar top", (_JSON,), "sidecar.cli.reports.top:top"),
    Command(
        "statusline",
        "one line for Claude Code's status line: gateway, tokens, cost, what is left of the budget",
        "sidecar statusline --install",
        (
            argument("--install", action="store_true", help="add it to Claude Code's settings, beside the status line that is there"),
            argument("--remove", action="store_true", help="take it out again"),
            argument("--beside", metavar="COMMAND", help="run this status line too, and show its output first"),
        ),
        "sidecar.launch.statusline:statusline",
    ),
    Command(
        "token",
        "print a pass, for a client that run does not start",
        "sidecar token -g vercel --ttl 8h",
        (
            _GATEWAY,
            _TAG,
            _SESSION,
            _TTL,
            _HERE,
            _JSON,
            argument("--rotate", action="store_true", help="make all passes so far invalid, and print none"),
        ),
        "sidecar.cli.setup.passes:token",
    ),
    Command(
        "config init",
        "write a configuration file that explains every key, all at its default",
        "sidecar config init",
        (),
        "sidecar.cli.setup.config:init",
    ),
    Command(
        "config edit",
        "open the configuration in $EDITOR; it is checked before it takes effect",
        "sidecar config edit",
        (),
        "sidecar.cli.setup.config:edit",
    ),
    Command("config path", "where the configuration file is", "sidecar config path", (), "sidecar.cli.setup.config:path"),
    Command("config check", "is it right: every fault with its line", "sidecar config check", (), "sidecar.cli.setup.config:check"),
    Command("config show", "what is in force, defaults included", "sidecar config show --json", (_JSON,), "sidecar.cli.setup.config:show"),
    Command(
        "uninstall",
        "take away what the sidecar put on this machine; asks about keys and ledger",
        "sidecar uninstall",
        (
            argument("--yes", action="store_true", help="keys, configuration and ledger, too, without asking"),
            argument("--keep", action="store_true", help="keep keys, configuration and ledger, without asking"),
        ),
        "sidecar.cli.setup.uninstall:uninstall",
    ),
    Command("doctor", "check everything that can be wrong", "sidecar doctor", (_JSON,), "sidecar.cli.running.doctor:doctor"),
)


def load(handler: str) -> Callable[..., int]:
    """The function that `module:function` names, imported now."""
    module, _, function = handler.partition(":")
    loaded: Callable[..., int] = getattr(__import__(module, fromlist=[function]), function)
    return loaded
