"""`sidecar demo`: the whole story with no account, no network, and nothing of the user's read or written."""

from __future__ import annotations

import asyncio
import secrets
import signal
from typing import TYPE_CHECKING

from sidecar.cli.reports.tables import print_table
from sidecar.cli.reports.usage import usage
from sidecar.demo import story
from sidecar.demo.gateway import StandIn
from sidecar.demo.home import Home
from sidecar.launch.parser import parse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sidecar.demo.comparison import Finding

_TERMINATED = 143
_BEGINNING = """\
A stand-in gateway   {gateway}   no model behind it, and a key that only this demo knows
A sidecar before it  {folder}   its own configuration, pass key and ledger; removed at the end
"""


def demo(args: argparse.Namespace) -> int:
    """0 only if every promise held."""
    try:
        return asyncio.run(_tell([args.agent, *args.command] if args.agent else []))
    except asyncio.CancelledError:
        return _TERMINATED


async def _tell(agent: Sequence[str]) -> int:
    _end_orderly_when_terminated()
    key = f"demo-gateway-key-{secrets.token_hex(16)}"
    async with StandIn(keys=frozenset({key})) as gateway:
        with Home(gateway.url, key) as home:
            print(_BEGINNING.format(gateway=gateway.url, folder=home.folder), flush=True)
            if agent:
                findings = await story.agents_conversation(gateway, home, key, agent)
            else:
                findings = await story.own_conversation(gateway, home, key, _show)
                print("\n")
            _print_findings(findings)
            usage(_since_the_beginning(home))
    return 0 if all(finding.holds for finding in findings) else 1


def _end_orderly_when_terminated() -> None:
    """As Ctrl-C does by itself: the daemon is ended and the folder removed on the way out."""
    loop, story_told = asyncio.get_running_loop(), asyncio.current_task()
    if story_told:
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(story_told.cancel))


def _show(piece: str) -> None:
    print(piece, end="", flush=True)


def _print_findings(findings: Sequence[Finding]) -> None:
    rows = [("✓" if finding.holds else "✗", finding.what, finding.sent, finding.received) for finding in findings]
    print_table(("", "", "the agent sent", "the gateway received"), rows, title="What went through")


def _since_the_beginning(home: Home) -> argparse.Namespace:
    """As for `sidecar usage` in that home.  Not today's, the default: it may be midnight."""
    arguments = parse(["usage", "--since", "1h"])
    arguments.places = home.places
    return arguments
