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
    """`turns` are oldest first.  `turn` counts the main agent's and is None for a subagent's; `retry` means that the same agent's turn
    before had failed.
    """

    session: str
    first: object
    last: object
    where: Row
    agents: list[Agent]
    models: list[Row]
    errors: dict[str, int]
    retries: int
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


def _turns(rows: Sequence[sqlite3.Row]) -> list[Row]:
    number = 0
    failed_before: dict[str | None, bool] = {}
    turns: list[Row] = []
    for row in rows:
        agent, outcome = row["agent"], row["outcome"]
        retry = bool(row["retry_count"]) or failed_before.get(agent, False)
        failed = outcome is not None and outcome not in {"complete", "client_cancelled"}
        failed_before[agent] = failed
        number += agent is None and not retry
        turns.append(
            {
                "turn": number if agent is None else None,
                **{name: row[name] for name in _TURN},
                "model": row["model_served"] or row["model_sent"] or row["model_requested"],
                "failed": failed,
                "retry": retry,
            }
        )
    return turns
