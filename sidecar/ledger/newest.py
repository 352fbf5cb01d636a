"""The newest requests: where a session's went, and which have just ended."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sidecar.clock import moment
from sidecar.ledger.reader import readable, reading


@dataclass(frozen=True, slots=True)
class Newest:
    """`is_shared` is true if runs other than the one asked about have written into the session."""

    gateway: str
    tags: tuple[str, ...]
    is_shared: bool = False


_NEWEST = "SELECT gateway, tags FROM requests WHERE session = :session AND run = ifnull(:run, run) ORDER BY started_at DESC LIMIT 1"
_IS_SHARED = "SELECT EXISTS (SELECT 1 FROM requests WHERE session = :session AND run IS NOT :run)"

_LONGEST_SECONDS = 3600
_JUST_ENDED = (
    "SELECT * FROM requests WHERE started_at >= ? AND finished_at >= ? AND kind = 'inference' ORDER BY finished_at DESC, id DESC LIMIT ?"
)


def newest_request(path: str, session: str, run: str | None) -> Newest | None:
    """The session's newest request, restricted to `run` if given.  None if the ledger holds none."""
    names = {"session": session, "run": run}
    with reading(path) as connection:
        row = connection.execute(_NEWEST, names).fetchone()
        is_shared = run is not None and bool(connection.execute(_IS_SHARED, names).fetchone()[0])
    return Newest(row["gateway"], tuple(json.loads(row["tags"])), is_shared) if row else None


def just_ended(path: str, now: float, seconds: float, at_most: int) -> list[dict[str, object]]:
    """The model calls that ended in the last `seconds` before `now` (epoch seconds), as the ledger has them, the newest last.

    One that took longer than an hour is not among them.
    """
    with reading(path) as connection:
        rows = connection.execute(_JUST_ENDED, (moment(now - _LONGEST_SECONDS), moment(now - seconds), at_most)).fetchall()
    return [readable(row) for row in reversed(rows)]
