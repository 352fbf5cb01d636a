"""A row of the table `requests`, and how a request's end fills it."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from sidecar.clock import moment
from sidecar.ledger.outcome import outcome
from sidecar.metering.reading import Usage
from sidecar.pricing.bill import Billed
from sidecar.wire.target import Kind

if TYPE_CHECKING:
    from sidecar.ledger.entry import Closing


class Row(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The columns of `requests`, in their order.  None is unknown, and left out when a row is written as JSON.

    Rows are structs because every request makes, binds and encodes one: a dictionary takes twice as long.
    """

    id: str
    instance: str
    started_at: str
    finished_at: str | None = None
    kind: str
    session: str
    run: str | None = None
    agent: str | None = None
    parent_agent: str | None = None
    gateway: str
    tags: str
    project: str | None = None
    repo: str | None = None
    branch: str | None = None
    client: str | None = None
    method: str
    path: str
    model_requested: str | None = None
    model_sent: str | None = None
    model_served: str | None = None
    stream: bool | None = None
    status: int | None = None
    outcome: str | None = None
    error_type: str | None = None
    stop_reason: str | None = None
    message_id: str | None = None
    request_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    thinking_tokens: int | None = None
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None
    iterations: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    cache_status: str | None = None
    usage_source: str | None = None
    billing: str
    cost_nanousd: int | None = None
    price_source: str | None = None
    reported_cost_usd: float | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    first_byte_ms: float | None = None
    duration_ms: float | None = None
    retry_count: int | None = None


#: Own errors of a request that did not leave.
_NOT_REACHED = frozenset({"unreachable", "timeout_connect"})

COLUMNS: tuple[str, ...] = Row.__struct_fields__


def close(row: Row, kind: Kind, closing: Closing) -> None:
    """Fill in how the request ended.  Its cost is not known yet."""
    reading = closing.reading
    usage = reading.usage
    reported = reading.reported_cost_usd
    row.outcome, row.error_type = outcome(kind, closing.ending, closing.status, closing.own_error, reading)
    if row.outcome == "unmetered":
        row.kind = Kind.INFERENCE.value  # whatever its path, it was a model's answer
    row.finished_at = moment(closing.finished_at)
    row.model_served = reading.model
    row.status = closing.status
    row.stop_reason = reading.stop_reason
    row.message_id = reading.message_id
    row.request_id = closing.request_id
    row.input_tokens = usage.input
    row.output_tokens = usage.output
    row.cache_read_tokens = usage.cache_read
    row.cache_write_5m_tokens = usage.cache_write_5m
    row.cache_write_1h_tokens = usage.cache_write_1h
    row.thinking_tokens = usage.thinking
    row.web_search_requests = usage.web_search_requests
    row.web_fetch_requests = usage.web_fetch_requests
    row.iterations = reading.iterations
    row.service_tier = reading.service_tier
    row.speed = reading.speed
    row.inference_geo = reading.inference_geo
    row.cache_status = closing.cache_status
    row.usage_source = reading.usage_source.value
    row.reported_cost_usd = closing.header_cost_usd if reported is None else reported
    row.bytes_in = closing.bytes_in
    row.bytes_out = closing.bytes_out
    row.first_byte_ms = closing.first_byte_ms
    row.duration_ms = closing.duration_ms


def billed(row: Row) -> Billed:
    """The values of a closed row that decide its cost."""
    return Billed(
        usage=Usage(
            input=row.input_tokens,
            output=row.output_tokens,
            cache_read=row.cache_read_tokens,
            cache_write_5m=row.cache_write_5m_tokens,
            cache_write_1h=row.cache_write_1h_tokens,
            web_search_requests=row.web_search_requests,
        ),
        model=row.model_served or row.model_sent,
        at=_whole_second((row.finished_at or row.started_at)[: len("2026-11-21T01:57:06")]),
        service_tier=row.service_tier,
        speed=row.speed,
        inference_geo=row.inference_geo,
        iterations=row.iterations,
        cache_status=row.cache_status,
        stop_reason=row.stop_reason,
        not_billed=_not_billed(row),
    )


def _not_billed(row: Row) -> str | None:
    """Why the request cannot have cost anything; None if it may have."""
    if row.status is None and row.error_type in _NOT_REACHED:
        return "no gateway was reached"
    if row.status is not None and 400 <= row.status < 500 and not row.output_tokens:
        return "refused by the gateway"
    return None


def storable(row: Row) -> Row:
    """A copy of the row that SQLite accepts: with a question mark for each lone surrogate, as a header's bytes that are no UTF-8 arrive."""
    texts = {name: value for name, value in msgspec.structs.asdict(row).items() if isinstance(value, str)}
    return msgspec.structs.replace(row, **{name: value.encode("utf-8", "replace").decode() for name, value in texts.items()})


@lru_cache(maxsize=64)
def _whole_second(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def array(tags: tuple[str, ...]) -> str:
    """The tags as the column `tags` holds them."""
    return json.dumps(tags, ensure_ascii=False)
