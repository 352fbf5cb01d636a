"""Where a session's newest request went."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sidecar.ledger.reader import reading


@dataclass(frozen=True, slots=True)
class Newest:
    """`is_shared` is true if runs other than the one asked about have written into the session."""

    gateway: str
    tags: tuple[str, ...]
    is_shared: bool = False


_NEWEST = "SELECT gateway, tags FROM requests WHERE session = :session AND run = ifnull(:run, run) ORDER BY started_at DESC LIMIT 1"
_IS_SHARED = "SELECT EXISTS (SELECT 1 FROM requests WHERE session = :session AND run IS NOT :run)"


def newest_request(path: str, session: str, run: str | None) -> Newest | None:
    """The session's newest request, restricted to `run` if given.  None if the ledger holds none."""
    names = {"session": session, "run": run}
    with reading(path) as connection:
        row = connection.execute(_NEWEST, names).fetchone()
        is_shared = run is not None and bool(connection.execute(_IS_SHARED, names).fetchone()[0])
    return Newest(row["gateway"], tuple(json.loads(row["tags"])), is_shared) if row else None
