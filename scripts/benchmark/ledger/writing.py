"""What the product's writer needs for a request: opened, closed, priced, in CPU time of the whole process."""

from __future__ import annotations

import time

import sidecar.pricing.cost  # noqa: F401 - the price table is loaded before the clock starts
from benchmark.processes import Failed
from sidecar.clock import moment
from sidecar.ledger.entry import Closing, Ending, Kind, Opening
from sidecar.ledger.row import Row, array
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Reading, Usage, UsageSource
from sidecar.pricing.terms import Terms

_REQUESTS = 5_000
_TAGS = ("laptop",)


def microseconds_per_request(path: str) -> float:
    """In a ledger of its own at `path`.  Raises `Failed`."""
    problems: list[str] = []
    ledger = Ledger(path, "benchmark", lambda event, text: problems.append(f"{event}: {text}"))
    now = time.time()
    exchanges = [(_opening(number, now), _closing(number, now)) for number in range(_REQUESTS)]
    before = time.process_time()
    ledger.start()
    for opening, closing in exchanges:
        ledger.open(opening)
        ledger.close(closing)
    ledger.stop()
    used = time.process_time() - before
    if problems:
        raise Failed(problems[0])
    return used / _REQUESTS * 1e6


def _id(number: int) -> str:
    return f"01a1fbf1-0000-7000-8000-{number:012x}"


def _opening(number: int, now: float) -> Opening:
    started_at = now + number / 1000
    row = Row(
        id=_id(number),
        instance="benchmark",
        started_at=moment(started_at),
        kind=Kind.INFERENCE.value,
        session=f"4f1c9a52-0000-4000-8000-{number // 100:012x}",
        run="run",
        agent=None,
        parent_agent=None,
        gateway="anthropic",
        tags=array(_TAGS),
        project="shop",
        repo="github.com/example/shop",
        branch="main",
        client="claude-cli",
        method="POST",
        path="/v1/messages",
        model_requested="claude-sonnet-4-5-20250929",
        model_sent="claude-sonnet-4-5-20250929",
        stream=True,
        billing="metered",
        retry_count=0,
    )
    return Opening(row, started_at, Kind.INFERENCE, _TAGS, Terms(provider="anthropic"))


def _closing(number: int, now: float) -> Closing:
    return Closing(
        id=_id(number),
        finished_at=now + number / 1000 + 8,
        ending=Ending.CLEAN,
        status=200,
        own_error=None,
        bytes_in=76_000,
        bytes_out=20_000,
        first_byte_ms=900.0,
        duration_ms=8_000.0,
        reading=Reading(
            usage=Usage(input=10, output=700, cache_read=90_000, cache_write_5m=1_000, cache_write_1h=0),
            usage_source=UsageSource.FINAL,
            model="claude-sonnet-4-5-20250929",
            message_id=f"msg_{number:024}",
            stop_reason="end_turn",
            finished=True,
        ),
    )
