"""Anthropic's Messages API: the events of one stream, or one whole body, become a `Reading`.

All numbers in a stream are cumulative: the last valid value of a field wins and nothing is ever added up.  Known habits that shape
the rules: LiteLLM starts with zeros and tells the truth in the delta; Kimi's start counts cached input twice and its delta is
smaller; Anthropic's delta is larger when server tools ran; OpenRouter's has nulls for what did not change, some translators'
zeros; OpenRouter ends with `[DONE]`, LiteLLM repeats the usage in `message_stop`.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from sidecar.metering.errors import NOT_A_MESSAGE, failure
from sidecar.metering.places import MESSAGES, WORDS, figures, reported_cost
from sidecar.metering.reading import Reading, Usage, UsageSource
from sidecar.metering.values import NotJSON, count, decode, member, text
from sidecar.wire.sse import run_of

if TYPE_CHECKING:
    from sidecar.wire.sse import Event

#: Events that say nothing about usage.
SKIP = run_of(b"content_block_delta", b"ping", b"content_block_stop")

_INPUT = ("fresh", "read", "written")
_SPLIT = ("written_short", "written_long")
_OUTPUT = ("output", "reasoning")
_TOOLS = ("searches", "fetches")

#: Iterations of these types are attempts at the answer itself; compaction, advisor and whatever comes next are always billed beside it.
_ATTEMPTS = ("message", "fallback_message")


class Messages:
    """One reply.  Give it every event, or the one body, then ask for the reading."""

    _source = UsageSource.NONE
    _model: str | None = None
    _declined_model: str | None = None
    _message_id: str | None = None
    _stop_reason: str | None = None
    _iterations: str | None = None
    _cost: float | None = None
    _error_type: str | None = None
    _failed = False
    _finished = False

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._split: dict[str, int] = {}
        self._words: dict[str, str] = {}

    def event(self, event: Event) -> None:
        if event.data.strip() == b"[DONE]":
            self._finished = self._finished or not self._failed
            return
        if event.name == b"content_block_start" and b"fallback" not in event.data and b'"error' not in event.data:
            return  # one for every block, and none of them says anything else that is wanted
        try:
            data = decode(event.data)
        except NotJSON:
            data = None
            if event.name != b"error":
                return
        kind = text(member(data, "type")) or event.name.decode("ascii", "replace")
        found = failure(data)
        if found or event.name == b"error" or kind == "error":
            self._fail(found.type if found else None)
        self._read(kind, data)

    def body(self, body: object) -> None:
        """A whole JSON reply: a message, an error, or anything else that is JSON."""
        if found := failure(body):
            self._fail(found.type)
        if isinstance(body, dict):
            self._head(body)
            self._stop_reason = text(body.get("stop_reason"))
            content = body.get("content")
            for block in content if isinstance(content, list) else ():
                self._block(block)
            self._fold(body.get("usage"), UsageSource.FINAL)
        if not self._failed and not is_message(body):
            self._fail(NOT_A_MESSAGE)
        self._finished = not self._failed

    def reading(self) -> Reading:
        known = self._counts.get
        written, (write_5m, write_1h) = known("written"), map(self._split.get, _SPLIT)
        service_tier, speed, inference_geo = map(self._words.get, WORDS)
        if written is not None:
            write_5m = (write_5m or 0) + max(written - (write_5m or 0) - (write_1h or 0), 0)
        usage = Usage(
            input=known("fresh"),
            output=known("output"),
            cache_read=known("read"),
            cache_write_5m=write_5m,
            cache_write_1h=write_1h,
            thinking=known("reasoning"),
            web_search_requests=known("searches"),
            web_fetch_requests=known("fetches"),
        )
        return Reading(
            usage=usage,
            usage_source=self._source,
            model=self._model,
            message_id=self._message_id,
            stop_reason=self._stop_reason,
            error_type=self._error_type,
            iterations=self._iterations,
            service_tier=service_tier,
            speed=speed,
            inference_geo=inference_geo,
            reported_cost_usd=self._cost,
            finished=self._finished,
            failed=self._failed,
        )

    def _read(self, kind: str, data: object) -> None:
        match kind:
            case "message_start":
                self._start(member(data, "message"))
            case "content_block_start":
                self._block(member(data, "content_block"))
            case "message_delta":
                if reason := text(member(member(data, "delta"), "stop_reason")):
                    self._stop_reason = reason
                    self._finished = True
                self._fold(member(data, "usage"), UsageSource.FINAL)
            case "message_stop":
                self._fold(member(data, "usage"), UsageSource.FINAL)
                self._finished = True

    def _fail(self, error_type: str | None) -> None:
        self._failed = True
        self._error_type = error_type or self._error_type

    def _head(self, message: dict[str, object]) -> None:
        self._model = text(message.get("model")) or self._model
        self._message_id = text(message.get("id")) or self._message_id

    def _start(self, message: object) -> None:
        if isinstance(message, dict):
            self._head(message)
            self._stop_reason = text(message.get("stop_reason")) or self._stop_reason
            self._fold(message.get("usage"), UsageSource.PARTIAL)

    def _block(self, block: object) -> None:
        """A `fallback` block says that another model writes what follows."""
        if member(block, "type") == "fallback":
            self._declined_model = self._declined_model or text(member(member(block, "from"), "model")) or self._model
            self._model = text(member(member(block, "to"), "model")) or self._model

    def _fold(self, usage: object, source: UsageSource) -> None:
        """Add what this usage object says.  `source` counts only if it holds a token count."""
        if not isinstance(usage, dict) or not usage:
            return
        found = figures(usage, MESSAGES)
        incoming, split, outgoing, tools = (
            {name: found[name] for name in names if name in found} for names in (_INPUT, _SPLIT, _OUTPUT, _TOOLS)
        )
        if incoming or split or outgoing:
            self._source = source if self._source is not UsageSource.FINAL else self._source
        # Zeros for the whole input side are a translator's way of saying nothing.
        if _some_input(incoming, split) or not _some_input(self._counts, self._split):
            self._counts |= incoming
            if split or incoming.get("written", math.inf) < sum(self._split.values()):
                # Without a split of its own, a smaller count comes from another model than the split before.
                self._split = split
        self._counts |= outgoing | tools
        for name in WORDS:
            if name in usage and (word := text(usage[name])):
                self._words[name] = word
        cost = reported_cost(usage)
        self._cost = self._cost if cost is None else cost
        iterations = usage.get("iterations")
        if isinstance(iterations, list):
            beside = self._beside([entry for entry in iterations if isinstance(entry, dict)])
            self._iterations = json.dumps(beside, separators=(",", ":")) if beside else None

    def _beside(self, iterations: list[dict[str, object]]) -> list[dict[str, object]]:
        """The iterations that are billed beside the top level.

        After a fallback the top level repeats what the last model did, so a declined attempt is not in it: it is billed at its own
        model's rates if it had written output, else not at all (platform.claude.com, "Refusals and fallback").
        """
        served = [text(entry.get("model")) or self._model for entry in iterations if entry.get("type") == "fallback_message"]
        if served and served[-1] != self._model:
            self._declined_model, self._model = self._declined_model or self._model, served[-1]
        beside = []
        for entry in iterations:
            kind = entry.get("type")
            if kind not in _ATTEMPTS:
                beside.append(entry)
            elif served and count(entry.get("output_tokens")):
                model = text(entry.get("model")) or (self._declined_model if kind == "message" else self._model)
                if model and model != served[-1]:
                    beside.append(entry | {"model": model})
        return beside


def is_message(body: object) -> bool:
    """Whether a whole body is a message of this protocol."""
    return isinstance(body, dict) and (body.get("type") == "message" or isinstance(body.get("content"), list))


def _some_input(counts: dict[str, int], split: dict[str, int]) -> bool:
    return any(map(counts.get, _INPUT)) or any(split.values())


def usage_of(reported: object) -> Usage:
    """One usage object on its own: an entry of `iterations`."""
    reader = Messages()
    reader.body({"type": "message", "usage": reported})
    return reader.reading().usage
