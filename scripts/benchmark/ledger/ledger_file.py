"""A year's requests in a ledger: the product's own tables, triggers and indexes, filled in one transaction, then summed up as the daemon does."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from sidecar.clock import moment
from sidecar.ledger.quarters import sum_up
from sidecar.ledger.schema import connect
from sidecar.ledger.store import QUARTERS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.ledger.year import Request


def fill(path: str, requests: Iterable[Request], now: float) -> int:
    """How many rows it has then."""
    with closing(connect(path)) as connection:
        rows = map(_row, requests)
        first = next(rows)
        query = f"INSERT INTO requests ({', '.join(first)}) VALUES ({', '.join('?' * len(first))})"  # noqa: S608 - names from below
        connection.execute("BEGIN")
        connection.executemany(query, (tuple(row.values()) for row in chain([first], rows)))
        connection.execute("COMMIT")
        while sum_up(connection, now, QUARTERS_AT_ONCE):
            pass
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (count,) = connection.execute("SELECT count(*) FROM requests").fetchone()
        return int(count)


def _row(request: Request) -> dict[str, object]:
    failed = request.tokens is None
    fresh, output, read, written = request.tokens or (None,) * 4
    took = 8_000 + request.number % 1_000
    return {
        "id": str(uuid.UUID(int=int(request.at * 1000) << 80 | 0x7 << 76 | 0b10 << 62 | request.number)),
        "instance": "0" * 32,
        "started_at": moment(request.at),
        "finished_at": moment(request.at + took / 1000),
        "kind": "inference",
        "session": request.session,
        "run": request.session[:13],
        "agent": request.agent,
        "gateway": request.gateway,
        "tags": json.dumps(["laptop", request.project]),
        "project": request.project,
        "repo": f"github.com/example/{request.project}",
        "branch": request.branch,
        "client": "claude-cli",
        "method": "POST",
        "path": "/v1/messages",
        "model_requested": request.model,
        "model_sent": request.model,
        "model_served": None if failed else request.model,
        "stream": 1,
        "status": 529 if failed else 200,
        "outcome": "upstream_error" if failed else "complete",
        "error_type": "overloaded_error" if failed else None,
        "stop_reason": None if failed else "tool_use",
        "message_id": None if failed else f"msg_{request.number:024}",
        "request_id": f"req_{request.number:024}",
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": written,
        "cache_write_1h_tokens": None if failed else 0,
        "usage_source": "none" if failed else "final",
        "billing": "metered",
        "cost_nanousd": request.nanousd,
        "price_source": None if failed else f"made up for a benchmark/{request.model}",
        "bytes_in": 76_000 + request.number % 4_000,
        "bytes_out": 20_000 + request.number % 4_000,
        "first_byte_ms": request.number % 2_000 + 0.5,
        "duration_ms": float(took),
        "retry_count": 0,
    }
