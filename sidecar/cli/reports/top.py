"""`sidecar top`: what runs now, a line per stream; what has just ended; the sessions of the last hour; what today has come to.

Live on a terminal, once in a pipe.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

from sidecar.cli.reports import sessions
from sidecar.cli.reports.tables import Sheet, console
from sidecar.errors import NotRunning
from sidecar.launch import client, troubles
from sidecar.launch.figures import count, dollars, duration, percent, rate, total_cost, unknown_costs
from sidecar.ledger.newest import just_ended
from sidecar.ledger.period import moment_of
from sidecar.ledger.reports import report

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from sidecar.launch.places import Places

_REFRESH_SECONDS = 1.0
_INPUT = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
_KIB = 1024
#: What has ended stays to be read for this long, and this much of it.
_ENDED_SECONDS, _ENDED_MOST = 60, 5
_SESSIONS_MOST = 10


def top(args: Namespace) -> int:
    now = look(args.places)
    if args.json:
        print(json.dumps(now))
        return 0
    if not sys.stdout.isatty():
        console().print(sheet(now))
        return 0
    from sidecar.cli.reports.screen import watch  # noqa: PLC0415 -- it takes a terminal

    def drawn() -> Sheet:
        try:
            return sheet(look(args.places))
        except NotRunning as gone:
            return Sheet().line(f"{gone.message}; waiting for it").line(_KEYS)

    watch(drawn, _REFRESH_SECONDS)
    return 0


def look(places: Places) -> dict[str, Any]:
    """Raises NotRunning."""
    state = client.verified(places)
    if state is None:
        raise NotRunning("the sidecar is not running", "sidecar start")
    status = client.ask(places, state, "GET", "/_sidecar/status")
    running = client.ask(places, state, "GET", "/_sidecar/streams")
    today = report(places.ledger, since=moment_of("today", datetime.now().astimezone()))
    return {
        "address": client.base_url(state),
        "gateway": status["gateway"],
        "streams": running["streams"],
        "just_ended": just_ended(places.ledger, time.time(), _ENDED_SECONDS, _ENDED_MOST),
        "sessions_of_the_last_hour": sessions.of_the_last_hour(places.ledger),
        "today": today["total"],
        "sessions_today": len(today["rows"]),
        "budgets": status.get("budgets", []),
        "troubles": status.get("troubles", []),
    }


_KEYS = "q ends"


def sheet(now: Mapping[str, Any]) -> Sheet:
    streams = now["streams"]
    running = f"{len(streams)} {'stream' if len(streams) == 1 else 'streams'}" if streams else "no streams"
    made = Sheet().line(f"Serving on {now['address']}, gateway {now['gateway']}: {running}")
    for trouble in now.get("troubles", ()):
        made.line(troubles.words(trouble), _BAD)
    _table(made, _COLUMNS, streams, _NUMBERS, _DISPENSABLE)
    if ended := now["just_ended"]:
        made.line("just ended:", _HEADING)
        _table(made, _ENDED, ended, _NUMBERS, _DISPENSABLE)
    made.line("today: " + ", ".join(_sums(now["today"], now["sessions_today"])))
    if now["today"]["requests"]:
        made.line("       " + ", ".join(_tokens(now["today"])))
    if unknown := unknown_costs(now["today"]):
        made.line(f"       {unknown}")
    for budget in now["budgets"]:
        # A session's own budget is of interest once it runs short.
        if budget["session"] is None or budget["state"] != "ok":
            of = f" (session {budget['session']})" if budget["session"] is not None else ""
            made.line(f"budget {budget['budget']}{of}: {_STATES[budget['state']]}{budget['left']}", _STYLES[budget["state"]])
    if recent := now["sessions_of_the_last_hour"][-_SESSIONS_MOST:]:
        made.line("sessions of the last hour:", _HEADING)
        _table(made, sessions.columns(recent), recent, sessions.NUMBERS, sessions.DISPENSABLE)
    return made.line(_KEYS) if sys.stdout.isatty() else made


def _table(
    sheet: Sheet,
    columns: Mapping[str, Callable[[Mapping[str, Any]], str]],
    rows: Sequence[Mapping[str, Any]],
    numbers: Collection[str],
    dispensable: Sequence[str],
) -> None:
    if rows:
        cells = [tuple(show(row) for show in columns.values()) for row in rows]
        sheet.table(tuple(columns), cells, numbers=numbers, dispensable=dispensable)


_BAD, _HEADING = "bold red", "bold"
_STYLES = {"ok": "", "near": "yellow", "spent": _BAD}
_STATES = {"ok": "", "near": "nearly spent, ", "spent": "spent, "}


def _sums(today: Mapping[str, Any], sessions: int) -> Iterator[str]:
    requests, errors = today["requests"], today["errors"]
    yield f"{count(requests)} {'request' if requests == 1 else 'requests'} in {sessions} {'session' if sessions == 1 else 'sessions'}"
    if requests:
        yield f"{errors} {'error' if errors == 1 else 'errors'} ({percent(today['error_share'])})"
        yield total_cost(today)


def _tokens(today: Mapping[str, Any]) -> Iterator[str]:
    known = [today[name] for name in _INPUT if today[name] is not None]
    yield f"{count(sum(known) if known else None)} tokens in ({percent(today['cache_share'])} from a cache)"
    yield f"{count(today['output_tokens'])} out"
    yield f"first byte after {duration(today['first_byte_ms'])}"
    yield f"{rate(today['tokens_per_second'])} tok/s"


def _read(stream: Mapping[str, Any]) -> str:
    known = [stream[name] for name in _INPUT if stream[name] is not None]
    return count(sum(known)) if known else "\N{EN DASH}"


def _so_far(value: object, shown: Callable[[object], str]) -> str:
    """What has not come yet is no unknown."""
    return "\N{EN DASH}" if value is None else shown(value)


def _bytes(value: object) -> str:
    return f"{value / _KIB:,.1f} KiB" if isinstance(value, int) else "?"


_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "session": lambda stream: stream["session"],
    "gateway": lambda stream: stream["gateway"],
    "model": lambda stream: stream["model"] or "\N{EN DASH}",
    "age": lambda stream: duration(stream["age_ms"]),
    "first byte": lambda stream: _so_far(stream["first_byte_ms"], duration),
    "input": _read,
    "output": lambda stream: _so_far(stream["output_tokens"], count),
    "received": lambda stream: _bytes(stream["bytes_out"]),
}
#: The ledger's row of what has ended.
_ENDED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "session": lambda row: row["session"],
    "gateway": lambda row: row["gateway"],
    "model": lambda row: row["model_served"] or row["model_sent"] or "\N{EN DASH}",
    "took": lambda row: duration(row["duration_ms"]),
    "input": _read,
    "output": lambda row: count(row["output_tokens"]),
    "cost": lambda row: dollars(row["cost_nanousd"] / 1e9 if row["cost_nanousd"] is not None else None),
    "ending": lambda row: row["error_type"] or row["outcome"],
}
_NUMBERS = frozenset({"age", "first byte", "input", "output", "received", "took", "cost"})
_DISPENSABLE = ("received", "gateway", "first byte", "input", "model")
