"""The demo's two stories: a conversation of its own, or a real agent's, each through a real sidecar to the stand-in.

Both end the sidecar before they judge, so that its ledger is complete.  Starting and ending it block on purpose: an interruption
then comes before or after, never in between, and no daemon is left behind.  Neither prints: the command does.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING

from sidecar.demo import comparison
from sidecar.demo.comparison import Finding
from sidecar.demo.conversation import TARGET, converse
from sidecar.demo.home import SESSION_HEADER, TAG, TAGS_HEADER
from sidecar.launch import client, passkey
from sidecar.launch.passes import Pass, mint
from sidecar.ledger import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidecar.demo.gateway import StandIn
    from sidecar.demo.home import Home

_PASS_SECONDS = 600
_OWN_TAG = "try-it"
_REPLACED = frozenset({"authorization", SESSION_HEADER, TAGS_HEADER})


async def own_conversation(gateway: StandIn, home: Home, key: str, show: Callable[[str], None]) -> list[Finding]:
    """`show` gets the streamed text as it comes."""
    running = home.start()
    pass_ = mint(passkey.load(home.places.pass_key), Pass("demo", int(time.time()) + _PASS_SECONDS, tags=(_OWN_TAG,)))
    talk = await converse(client.base_url(running), pass_, show)
    home.stop()
    if not gateway.received:
        return [Finding("request", TARGET, "nothing arrived", holds=False)]
    received = gateway.received[-1]
    return [
        comparison.target(TARGET, received),
        comparison.body(talk.body, received),
        comparison.credential([received], key, pass_),
        comparison.added(received, "session", SESSION_HEADER, talk.session),
        comparison.added(received, "tags", TAGS_HEADER, f"{TAG},{_OWN_TAG}"),
        comparison.other_headers(talk.fields, received, _REPLACED),
        comparison.tokens(talk.usage, requests(home)),
    ]


async def agents_conversation(gateway: StandIn, home: Home, key: str, command: Sequence[str]) -> list[Finding]:
    """What the agent itself sent is its secret; what arrived is held against what it should be."""
    home.start()
    code = await _run(home, command)
    home.stop()
    received = [request for request in gateway.received if request.method == "POST"]
    return [
        Finding("agent", " ".join(command), f"exit code {code}", code == 0),
        comparison.credential(received, key, "sidecar-pass-"),
        comparison.rows(received, requests(home)),
    ]


def requests(home: Home) -> list[Mapping[str, object]]:
    """The ledger's rows, oldest first."""
    rows: list[Mapping[str, object]] = reports.report(home.places.ledger, by="request")["rows"]
    return rows


async def _run(home: Home, command: Sequence[str]) -> int:
    """Through `sidecar run`, on this terminal.  Ctrl-C is the agent's to answer."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        arguments = ("-P", "-m", "sidecar", "run", "--tag", _OWN_TAG, "--", *command)
        agent = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=home.environ, cwd=home.project)
        return await agent.wait()
    finally:
        signal.signal(signal.SIGINT, before)
