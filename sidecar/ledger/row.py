"""A request's `Opening` and `Closing` as one row of the table `requests`: column names to plain values."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from sidecar.clock import moment
from sidecar.ledger.outcome import outcome
from sidecar.metering.reading import Usage
from sidecar.pricing.bill import Billed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.ledger.entry import Closing, Opening

__all__ = ["Row", "billed", "closed", "moment", "opened", "storable"]

Row: TypeAlias = dict[str, str | int | float | None]


def opened(opening: Opening) -> Row:
    return {
        "id": opening.id,
        "instance": opening.instance,
        "started_at": moment(opening.started_at),
        "kind": opening.kind.value,
        "session": opening.session,
        "run": opening.run,
        "agent": opening.agent,
        "parent_agent": opening.parent_agent,
        "gateway": opening.gateway,
        "tags": _array(opening.tags),
        "project": opening.project,
        "repo": opening.repo,
        "branch": opening.branch,
        "client": opening.client,
        "method": opening.method,
        "path": opening.path,
        "model_requested": opening.model_requested,
        "model_sent": opening.model_sent,
        "stream": opening.stream,
        "billing": opening.billing,
        "retry_count": opening.retry_count,
    }


def closed(opening: Opening, closing: Closing) -> Row:
    """The whole row, its cost not known yet."""
    reading = closing.reading
    usage = reading.usage
    how, error_type = outcome(opening.kind, closing.ending, closing.status, closing.own_error, reading)
    reported = reading.reported_cost_usd
    return opened(opening) | {
        "finished_at": moment(closing.finished_at),
        "model_served": reading.model,
        "status": closing.status,
        "outcome": how,
        "error_type": error_type,
        "stop_reason": reading.stop_reason,
        "message_id": reading.message_id,
        "request_id": closing.request_id,
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "thinking_tokens": usage.thinking,
        "web_search_requests": usage.web_search_requests,
        "web_fetch_requests": usage.web_fetch_requests,
        "iterations": reading.iterations,
        "service_tier": reading.service_tier,
        "speed": reading.speed,
        "inference_geo": reading.inference_geo,
        "cache_status": closing.cache_status,
        "usage_source": reading.usage_source.value,
        "cost_nanousd": None,
        "price_source": None,
        "reported_cost_usd": closing.header_cost_usd if reported is None else reported,
        "bytes_in": closing.bytes_in,
        "bytes_out": closing.bytes_out,
        "first_byte_ms": closing.first_byte_ms,
        "duration_ms": closing.duration_ms,
    }


def billed(row: Mapping[str, Any]) -> Billed:
    """What of a closed row decides its cost."""
    return Billed(
        usage=Usage(
            input=row["input_tokens"],
            output=row["output_tokens"],
            cache_read=row["cache_read_tokens"],
            cache_write_5m=row["cache_write_5m_tokens"],
            cache_write_1h=row["cache_write_1h_tokens"],
            web_search_requests=row["web_search_requests"],
        ),
        model=row["model_served"] or row["model_sent"],
        at=datetime.fromisoformat(row["finished_at"]).replace(microsecond=0),
        service_tier=row["service_tier"],
        speed=row["speed"],
        inference_geo=row["inference_geo"],
        iterations=row["iterations"],
        cache_status=row["cache_status"],
    )


def storable(row: Row) -> Row:
    """A header's bytes that are no UTF-8 arrive as lone surrogates, which SQLite refuses: a question mark for each."""
    return {name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for name, value in row.items()}


@lru_cache(maxsize=256)
def _array(tags: tuple[str, ...]) -> str:
    return json.dumps(tags, ensure_ascii=False)
