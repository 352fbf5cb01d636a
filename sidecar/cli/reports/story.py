"""`sidecar usage --session ID`: one session's story."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sidecar.cli.reports.tables import print_lines, print_table
from sidecar.launch.figures import UNKNOWN, count, dollars, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sidecar.ledger.story import Agent, Story

    Row = Mapping[str, object]
    Columns = Mapping[str, Callable[[Row], str]]

_DASH = "\N{EN DASH}"


def print_story(story: Story, sums: Columns, numbers: frozenset[str], dispensable: Sequence[str], zone: str) -> None:
    """`sums`: the columns in which every table of usage shows its sums."""
    print_lines(_beginning(story, zone))
    for title, rows in (("agent", _branches(story["agents"])), ("model", ((str(row["key"]), row) for row in story["models"]))):
        body = [(name, *(show(row) for show in sums.values())) for name, row in rows]
        print_table((title, *sums), body, numbers=numbers, dispensable=dispensable)
    body = [tuple(show(turn) for show in _TURN.values()) for turn in story["turns"]]
    print_table(tuple(_TURN), body, numbers=_TURN_NUMBERS, dispensable=_TURN_DISPENSABLE)


def _beginning(story: Story, zone: str) -> Iterator[str]:
    where = story["where"]
    place = " ".join(str(part) for part in (where["repo"] or where["project"], where["branch"]) if part)
    yield f"session {story['session']}" + (f" in {place}" if place else "")
    first, last = (datetime.fromisoformat(str(story[end])).astimezone() for end in ("first", "last"))
    turns = max((number for turn in story["turns"] if isinstance(number := turn["turn"], int)), default=0)
    facts = [f"{turns} {'turn' if turns == 1 else 'turns'}", f"{story['retries']} sent again after a failure"]
    if helpers := story["helpers"]:
        facts.append(f"{helpers} {'request' if helpers == 1 else 'requests'} beside them, for a title and the like")
    facts += [f"{what} ({number})" for what, number in story["errors"].items()]
    yield f"{first:%Y-%m-%d %H:%M} to {_day_if_other(first, last)}{last:%H:%M} ({zone}): {', '.join(facts)}"


def _day_if_other(first: datetime, last: datetime) -> str:
    return f"{last:%Y-%m-%d} " if last.date() != first.date() else ""


def _branches(agents: Sequence[Agent], before: str = "") -> Iterator[tuple[str, Row]]:
    """Every agent's name, drawn as a tree, with its sums."""
    for node in agents:
        yield before + (node["agent"] or "main"), node["sums"]
        yield from _below(node["subagents"], before.replace("├─", "│ ").replace("└─", "  "))


def _below(agents: Sequence[Agent], before: str) -> Iterator[tuple[str, Row]]:
    for node in agents:
        yield from _branches([node], before + ("└─ " if node is agents[-1] else "├─ "))


def _started(turn: Row) -> str:
    return f"{datetime.fromisoformat(str(turn['started_at'])).astimezone():%H:%M:%S}"


def _who(turn: Row) -> str:
    return str(turn["agent"] or ("helper" if turn["helper"] else "main"))


def _outcome(turn: Row) -> str:
    said = "running" if turn["outcome"] is None else str(turn["error_type"] or turn["stop_reason"] or turn["outcome"])
    return f"again: {said}" if turn["retry"] else said


def _known(*values: object) -> int | None:
    known = [value for value in values if isinstance(value, int)]
    return sum(known) if known else None


_TURN: Columns = {
    "turn": lambda turn: _DASH if turn["turn"] is None else str(turn["turn"]),
    "started": _started,
    "agent": _who,
    "model": lambda turn: str(turn["model"] or UNKNOWN),
    "outcome": _outcome,
    "input": lambda turn: count(turn["input_tokens"]),
    "read": lambda turn: count(turn["cache_read_tokens"]),
    "write": lambda turn: count(_known(turn["cache_write_5m_tokens"], turn["cache_write_1h_tokens"])),
    "output": lambda turn: count(turn["output_tokens"]),
    "cost": lambda turn: dollars(nanousd / 1e9 if isinstance(nanousd := turn["cost_nanousd"], int) else None),
    "first byte": lambda turn: duration(turn["first_byte_ms"]),
    "took": lambda turn: duration(turn["duration_ms"]),
}
_TURN_NUMBERS = frozenset(_TURN) - {"agent", "model", "outcome"}
_TURN_DISPENSABLE = ("write", "first byte", "read", "started", "model", "input", "took")
