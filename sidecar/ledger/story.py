"""The story of one session: its turns, its subagents as a tree, its models, errors and retries.

Requests that have been rolled up into hours are in the sums of agents and models, but not among the turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from sidecar.errors import UsageError
from sidecar.ledger.reader import reading
from sidecar.ledger.reports import report

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from sidecar.ledger.reports import Row

#: Appended to a prefix, it sorts after every text with that prefix.
_LAST = "\U0010ffff"
_NAMED_MOST = 5
_TURN = (
    "started_at", "agent", "gateway", "outcome", "error_type", "stop_reason", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_5m_tokens", "cache_write_1h_tokens", "cost_nanousd", "first_byte_ms", "duration_ms",
)  # fmt: skip


class Agent(TypedDict):
    """An agent with its subagents.  `agent` is None for the main one; `sums` has the keys of a report's row, without the subagents."""

    agent: str | None
    sums: Row
    subagents: list[Agent]


class Story(TypedDict):
    """`turns` are oldest first.  `turn` counts the main agent's and is None for a subagent's and a helper's; `retry` means that the same
    agent's turn before had failed.  `helpers` counts what the main agent asked beside a turn, such as a title for the session.
    """

    session: str
    first: object
    last: object
    where: Row
    agents: list[Agent]
    models: list[Row]
    errors: dict[str, int]
    retries: int
    helpers: int
    turns: list[Row]


def session_named(path: str, name: str) -> str:
    """The session with this name, or the only one whose name begins with it; `name` itself if there is none.

    Raises UsageError if several begin with it.
    """
    query = "SELECT session FROM {} WHERE session >= :from AND session < :to GROUP BY 1"
    both = f"{query.format('requests')} UNION {query.format('hours')} LIMIT {_NAMED_MOST + 1}"
    with reading(path) as connection:
        found = [row["session"] for row in connection.execute(both, {"from": name, "to": name + _LAST})]
    if len(found) == 1 or name in found or not found:
        return found[0] if len(found) == 1 else name
    listed = ", ".join(found[:_NAMED_MOST]) + (", …" if len(found) > _NAMED_MOST else "")
    raise UsageError(f"several sessions begin with {name!r}", f"write more of one of them: {listed}")


def story(path: str, session: str) -> Story:
    total = report(path, "session", session=session)["total"]
    with reading(path) as connection:
        rows = connection.execute(
            "SELECT * FROM requests WHERE session = ? AND kind = 'inference' ORDER BY started_at, id", (session,)
        ).fetchall()
        parents = connection.execute(
            "SELECT agent, max(parent_agent) FROM used WHERE session = ? AND kind = 'inference' AND agent IS NOT NULL GROUP BY 1",
            (session,),
        )
        parent_of = dict(parents.fetchall())
    turns = _turns(rows)
    errors: dict[str, int] = {}
    for turn in turns:
        if turn["failed"]:
            what = str(turn["error_type"] or turn["outcome"])
            errors[what] = errors.get(what, 0) + 1
    newest = dict(rows[-1]) if rows else {}
    return Story(
        session=session,
        first=total["first"],
        last=total["last"],
        where={name: newest.get(name) for name in ("project", "repo", "branch", "client")},
        agents=tree(report(path, "agent", session=session)["rows"], parent_of),
        models=report(path, "model", session=session)["rows"],
        errors=errors,
        retries=sum(bool(turn["retry"]) for turn in turns),
        helpers=sum(bool(turn["helper"]) for turn in turns),
        turns=turns,
    )


def tree(rows: Iterable[Row], parent_of: Mapping[str, str | None]) -> list[Agent]:
    """The agents' sums, each below the agent that started it, or below the main agent if its parent is not known."""
    nodes = {row["key"]: Agent(agent=None if row["key"] is None else str(row["key"]), sums=row, subagents=[]) for row in rows}
    main = nodes.get(None)
    top = [main] if main else []
    for name, node in nodes.items():
        if name is None:
            continue
        above = nodes.get(parent_of.get(str(name))) if not _is_below_itself(str(name), parent_of) else None
        siblings = above["subagents"] if above else main["subagents"] if main else top
        siblings.append(node)
    return top


def _is_below_itself(name: str, parent_of: Mapping[str, str | None]) -> bool:
    """Whether the agent is its own ancestor.  Names come from the wire, so that parents may form a circle."""
    seen = {name}
    above = parent_of.get(name)
    while above is not None and above not in seen:
        seen.add(above)
        above = parent_of.get(above)
    return above is not None


def _helpers(rows: Iterable[sqlite3.Row]) -> set[str]:
    """Those of the main agent's requests, oldest first, that ran beside a larger one of its own.

    Its turns follow each other.  What runs at the same time is a helper: Claude Code asks for the session's title in parallel with a turn,
    and cancels such requests when a turn is over before them.
    """
    helpers: set[str] = set()
    under_way: list[sqlite3.Row] = []
    for row in rows:
        if row["outcome"] == "lost":  # nobody knows when it ended
            continue
        under_way = [each for each in under_way if each["finished_at"] is None or each["finished_at"] > row["started_at"]]
        for other in under_way:
            helpers.add((row if _size(row) <= _size(other) else other)["id"])
        under_way.append(row)
    return helpers


def _size(row: sqlite3.Row) -> int:
    """The input's tokens, 0 if none are known."""
    names = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    return sum(row[name] or 0 for name in names)


def _turns(rows: Sequence[sqlite3.Row]) -> list[Row]:
    number = 0
    failed_before: dict[str | None, bool] = {}
    helpers = _helpers([row for row in rows if row["agent"] is None])
    turns: list[Row] = []
    for row in rows:
        agent, outcome, is_helper = row["agent"], row["outcome"], row["id"] in helpers
        retry = not is_helper and (bool(row["retry_count"]) or failed_before.get(agent, False))
        failed = outcome is not None and outcome not in {"complete", "client_cancelled", "unmetered"}
        if not is_helper:
            failed_before[agent] = failed
        number += agent is None and not retry and not is_helper
        turns.append(
            {
                "turn": number if agent is None and not is_helper else None,
                **{name: row[name] for name in _TURN},
                "model": row["model_served"] or row["model_sent"] or row["model_requested"],
                "failed": failed,
                "retry": retry,
                "helper": is_helper,
            }
        )
    return turns
