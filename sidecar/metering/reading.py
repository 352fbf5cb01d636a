"""What the meter made of one reply.  Unknown is None, never 0."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class UsageSource(StrEnum):
    """Where the counts come from: the end of the reply, only an earlier part of it, or nowhere."""

    FINAL = "final"
    PARTIAL = "partial"
    NONE = "none"


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one exchange as the gateway reported them.  The parts never overlap; `thinking` alone is a part of `output`.

    `cache_write_5m` counts writes of the ordinary lifetime (5 minutes at Anthropic, 30 at OpenAI), `cache_write_1h` those of the longer
    one, which costs twice the input price (an hour at Anthropic, 12 at OpenAI).
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    thinking: int | None = None
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None


class Reading(msgspec.Struct, frozen=True, gc=False):
    """`finished`: the reply said what its protocol says last.  `failed`: an error event or envelope, or neither JSON nor SSE
    where a message was due; `error_type` then says which, as far as the reply does.  `empty`: there was no body at all.
    `iterations` is JSON text.  `gave_up` says why a sound reply was not read to its end.  `is_unmetered`: it was a model's answer, or
    reports usage, in a format that is not read.
    """

    usage: Usage = Usage()
    usage_source: UsageSource = UsageSource.NONE
    model: str | None = None
    message_id: str | None = None
    stop_reason: str | None = None
    error_type: str | None = None
    iterations: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    reported_cost_usd: float | None = None
    finished: bool = False
    failed: bool = False
    empty: bool = False
    gave_up: str | None = None
    is_unmetered: bool = False
