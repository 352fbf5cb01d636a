"""Where a session's newest request went."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sidecar.ledger.reader import reading


@dataclass(frozen=True, slots=True)
class Newest:
    gateway: str
    tags: tuple[str, ...]


def newest_request(path: str, session: str, run: str | None) -> Newest | None:
    """Of those of `run` alone, if it is given.  None: there is none in the ledger."""
    query = "SELECT gateway, tags FROM requests WHERE session = ? AND run = ifnull(?, run) ORDER BY started_at DESC LIMIT 1"
    with reading(path) as connection:
        row = connection.execute(query, (session, run)).fetchone()
    return Newest(row["gateway"], tuple(json.loads(row["tags"]))) if row else None
