"""Openings and closings to test the ledger with."""

from __future__ import annotations

from sidecar.clock import moment
from sidecar.ledger.entry import Closing, Ending, Kind, Opening
from sidecar.ledger.row import Row, array
from sidecar.metering.reading import Reading, Usage, UsageSource
from sidecar.pricing.terms import Terms

#: 2026-11-21T09:30:00.250Z
NOON = 1795253400.25


def opening(number: int = 1, **differs) -> Opening:
    values = {
        "id": f"01a1fbf1-0000-7000-8000-{number:012x}",
        "instance": "one",
        "started_at": NOON,
        "kind": Kind.INFERENCE,
        "session": "s1",
        "run": "r1",
        "agent": None,
        "parent_agent": None,
        "gateway": "anthropic",
        "tags": ("laptop", "review"),
        "project": "sidecar",
        "repo": "github.com/a/b",
        "branch": "main",
        "client": "claude-cli",
        "method": "POST",
        "path": "/v1/messages",
        "model_requested": "claude-sonnet-4-5",
        "model_sent": "claude-sonnet-4-5",
        "stream": True,
        "billing": "metered",
        "retry_count": 0,
    } | differs
    kind, tags = values["kind"], values["tags"]
    terms = values.pop("terms", Terms("anthropic"))
    row = Row(**values | {"started_at": moment(values["started_at"]), "kind": kind.value, "tags": array(tags)})
    return Opening(row, values["started_at"], kind, tags, terms)


def closing(number: int = 1, **differs) -> Closing:
    values = {
        "id": f"01a1fbf1-0000-7000-8000-{number:012x}",
        "finished_at": NOON + 2,
        "ending": Ending.CLEAN,
        "status": 200,
        "own_error": None,
        "bytes_in": 100,
        "bytes_out": 2000,
        "first_byte_ms": 310.5,
        "duration_ms": 2000.0,
        "reading": reading(),
    }
    return Closing(**values | differs)


def reading(**differs) -> Reading:
    values = {
        "usage": Usage(input=10, output=7, cache_read=5000, cache_write_5m=100, cache_write_1h=200),
        "usage_source": UsageSource.FINAL,
        "model": "claude-sonnet-4-5-20250929",
        "message_id": "msg_01",
        "stop_reason": "end_turn",
        "finished": True,
    }
    return Reading(**values | differs)
