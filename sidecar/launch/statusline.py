"""`sidecar statusline`: one short line for Claude Code's status line, from what the running sidecar knows of the session.

It asks the way the agent does: at the address and with the pass in its environment.  Where there is no pass the session is not
ours.  Whatever goes wrong, nothing is printed and the exit code is 0: a status bar is no place for errors.

Run after every turn, so it imports next to nothing: asking the daemon takes 4 ms, opening the ledger here would take 30.
"""

from __future__ import annotations

import os
import sys

from sidecar.launch import client, lean_json
from sidecar.launch.commands import load
from sidecar.launch.figures import count, percent, total_cost
from sidecar.launch.passes import PREFIX
from sidecar.launch.surroundings import note
from sidecar.launch.troubles import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping
    from typing import Any

_TIMEOUT_SECONDS = 1.0
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def statusline(args: Namespace) -> int:
    if args.install or args.remove:
        return load("sidecar.cli.setup.statusline_setup:change")(args)
    if sys.stdin is None or sys.stdin.isatty():
        note("This is for Claude Code to run, which says on stdin which session it is: sidecar statusline --install")
        return 2
    given = sys.stdin.buffer.read()
    shown = _of_the_other(args.beside, given) if args.beside else b""
    try:
        ours = _line(given, os.environ)
    except Exception:  # noqa: BLE001 -- see above
        ours = ""
    sys.stdout.buffer.write(shown + ours.encode())
    return 0


def _line(given: bytes, environ: Mapping[str, str]) -> str:
    """The line with its end, or nothing."""
    pass_ = _held(environ)
    session = lean_json.loads(given)["session_id"]
    if pass_ is None or not isinstance(session, str):
        return ""
    host, port = _address(environ["ANTHROPIC_BASE_URL"])
    # What the pass pins is the session whatever the agent calls it: without a name the sidecar answers for that.
    for target in (f"/_sidecar/usage?session={_quoted(session)}", "/_sidecar/usage"):
        status, body = client.request(port, "GET", target, [("x-sidecar-pass", pass_)], host=host, timeout_seconds=_TIMEOUT_SECONDS)
        told = lean_json.loads(body) if status == 200 else {}
        if told.get("rows") or _ledger_is_broken(told):
            return " · ".join(_parts(told)) + "\n"
    return ""


def _parts(told: Mapping[str, Any]) -> Iterator[str]:
    if told["gateway"]:
        yield told["gateway"]
    if told.get("trouble"):
        yield words(told["trouble"])
    if _ledger_is_broken(told):
        yield "the ledger cannot be written: sidecar doctor"
    if not told.get("rows"):
        return
    total = told["total"]
    known = [total[name] for name in _TOKENS if total[name] is not None]
    if known:
        yield f"{count(sum(known))} tokens"
    if total["cache_share"] is not None:
        yield f"{percent(total['cache_share'])} cached"
    if total["cost_usd"] is not None:
        yield total_cost(total)
    budgets = sorted(told["budgets"], key=lambda budget: budget["percent"])
    if budgets:
        tightest = budgets[-1]
        yield {"ok": "", "near": "nearly spent: ", "spent": "spent: "}[tightest["state"]] + tightest["left"]


def _ledger_is_broken(told: Mapping[str, Any]) -> bool:
    return bool((told.get("ledger") or {}).get("error"))


def _held(environ: Mapping[str, str]) -> str | None:
    """The pass that `sidecar run` gave the agent, wherever it had to put it."""
    lines = environ.get("ANTHROPIC_CUSTOM_HEADERS", "").splitlines()
    headers = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("x-sidecar-pass:")]
    held = [*headers, environ.get("ANTHROPIC_AUTH_TOKEN", "")]
    return next((text for text in held if text.startswith(PREFIX)), None)


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
    return host.strip("[]"), int(port)


def _quoted(text: str) -> str:
    """For a query.  Without `urllib.parse`, whose import takes as long as the answer."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _of_the_other(command: str, given: bytes) -> bytes:
    """What the status line prints that was there before ours, with a line end."""
    import subprocess  # noqa: PLC0415 - 10 ms, for those who have another

    shown = subprocess.run(command, shell=True, input=given, stdout=subprocess.PIPE, check=False).stdout  # noqa: S602 - the user's own
    return shown if not shown or shown.endswith(b"\n") else shown + b"\n"
