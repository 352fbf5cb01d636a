"""A report's query, as SQL: whole quarters from their sums, or from their rows if they have not been summed up yet; pieces of quarters
at the two ends of the period from their rows.

Hours that have taken the place of old rows belong to the period that their beginning lies in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sidecar.clock import moment
from sidecar.ledger.quarters import COLUMNS, NUMBERS, OF_HOURS, SECONDS, UNSUMMED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Span = tuple[float | None, float | None]

_COLUMNS = ", ".join(COLUMNS)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in NUMBERS)


def question(
    key: str, since: float | None, until: float | None, only: Mapping[str, str], met: Sequence[str] = ()
) -> tuple[str, Sequence[object]]:
    """SQL and its values: the sums of requests from `since` up to, not including, `until` (epoch seconds), grouped by the SQL `key`.

    `only`: columns and the one value wanted.  A `key` that speaks of `tag` counts a request once for each of its tags.  Of each column
    in `met` a group has the values that were met, as a JSON list.
    """
    ended, values = ended_requests(since, until, only)
    # The plus keeps SQLite from reading a whole year by its start: open rows have an index of their own.
    arm = _arm(_COLUMNS, "counted", "+started_at", (_text(since), _text(until)), only, "finished_at IS NULL")
    tags = "LEFT JOIN json_each(tags) AS tag" if "tag." in key else ""
    used = f"{ended} UNION ALL {arm[0]}"
    lists = "".join(f", json_group_array(DISTINCT {name}) FILTER (WHERE {name} IS NOT NULL) AS {name}" for name in met)
    sums = f"SELECT {key} AS key, {_SUMS}, min(first) AS first, max(last) AS last{lists}"
    return f"{sums} FROM ({used}) {tags} GROUP BY 1 ORDER BY first, key", [*values, *arm[1]]


def ended_requests(since: float | None, until: float | None, only: Mapping[str, str]) -> tuple[str, Sequence[object]]:
    """SQL and its values for the ended requests of a period with the columns of `quarters`: sums, single rows and hours."""
    whole, edges = quarters_within(since, until)
    ended = "finished_at IS NOT NULL"
    arms = [
        _arm(_COLUMNS, "quarters", "quarter", whole, only, "quarter NOT IN (SELECT quarter FROM unsummed)"),
        _arm(_COLUMNS, UNSUMMED, "unsummed.quarter", whole, only, ended),
        _arm(OF_HOURS, "hours", "started_at", (_text(since), _text(until)), only, "kind = 'inference'"),
        *(_arm(_COLUMNS, "counted", "started_at", (_text(begin), _text(end)), only, ended) for begin, end in edges),
    ]
    return " UNION ALL ".join(sql for sql, _ in arms), [value for _, values in arms for value in values]


def question_of_run() -> str:
    """SQL for the sums of what one run did in one session; its parameters are `session` and `run`.

    Read row by row: the sums of `quarters` do not tell runs apart.
    """
    return (
        f"SELECT session AS key, {_SUMS}, min(first) AS first, max(last) AS last FROM counted"  # noqa: S608 -- names of this package's own
        " WHERE id IN (SELECT id FROM requests WHERE session = :session AND run = :run) GROUP BY 1"
    )


def quarters_within(since: float | None, until: float | None) -> tuple[tuple[int | None, int | None], list[Span]]:
    """The whole quarters of a period, from the first up to, not including, the last; and the pieces of quarters at its ends."""
    first = None if since is None else math.ceil(since / SECONDS)
    end = None if until is None else math.floor(until / SECONDS)
    if first is not None and end is not None and first > end:
        return (first, first), [(since, until)]
    pieces: list[Span] = []
    if first is not None and since is not None and since < first * SECONDS:
        pieces.append((since, first * SECONDS))
    if end is not None and until is not None and end * SECONDS < until:
        pieces.append((end * SECONDS, until))
    return (first, end), pieces


def _arm(
    columns: str, table: str, clock: str, span: tuple[object, object], only: Mapping[str, str], *more: str
) -> tuple[str, list[object]]:
    # The plus keeps SQLite from making an index of all rows, each time, by a column that has none.
    equal = {f"{name if name == 'session' else f'+{name}'} = ?": value for name, value in only.items()}
    tests = {f"{clock} >= ?": span[0], f"{clock} < ?": span[1]} | equal
    given = {test: value for test, value in tests.items() if value is not None}
    where = " AND ".join(("1", *more, *given))
    return f"SELECT {columns} FROM {table} WHERE {where}", [*given.values()]  # noqa: S608 -- see above


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else moment(seconds)
