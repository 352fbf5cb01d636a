"""OpenAI's Responses: the events of one stream, or one whole body, become a `Reading`.

A response says everything in its last event: `response.completed`, `.incomplete` or `.failed`.  There is no `[DONE]`.  Web searches are
billed by the call: newer models count them in `tool_usage`, of others the calls are counted here (openai.com, "Pricing", built-in tools).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidecar.metering.errors import NOT_A_MESSAGE, failure
from sidecar.metering.openai import Tally
from sidecar.metering.reading import Reading, UsageSource
from sidecar.metering.values import NotJSON, decode, member, text
from sidecar.wire.sse import run_of

if TYPE_CHECKING:
    from sidecar.wire.sse import Event

#: Events that say nothing about usage: the deltas, which are nearly all there is.
SKIP = run_of(
    b"response.output_text.delta",
    b"response.function_call_arguments.delta",
    b"response.custom_tool_call_input.delta",
    b"response.reasoning_text.delta",
    b"response.reasoning_summary_text.delta",
)

_COMPLETE = ("response.completed", "response.incomplete")
_FAILED = "response.failed"


class Responses:
    """One reply.  Give it every event, or the one body, then ask for the reading."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._searches = 0
        self._source = UsageSource.NONE
        self._model: str | None = None
        self._id: str | None = None
        self._service_tier: str | None = None
        self._stop_reason: str | None = None
        self._error_type: str | None = None
        self._failed = False
        self._finished = False

    def event(self, event: Event) -> None:
        if event.data.strip() == b"[DONE]":  # not of this protocol, but some translators end every stream with it
            self._finished = self._finished or not self._failed
            return
        self._failed = self._failed or event.name == b"error"
        try:
            data = decode(event.data)
        except NotJSON:
            return
        kind = text(member(data, "type")) or event.name.decode("ascii", "replace")
        if kind == "error" or member(data, "error"):
            self._fail(data)
        response = member(data, "response")
        if isinstance(response, dict):
            self._fold(response, UsageSource.FINAL if kind in (*_COMPLETE, _FAILED) else UsageSource.PARTIAL)
        if kind == "response.output_item.done":
            self._searches += _is_search(member(data, "item"))
        self._finished = self._finished or kind in _COMPLETE
        self._failed = self._failed or kind == _FAILED

    def body(self, body: object) -> None:
        """A whole JSON reply: a response, an error, or anything else that is JSON."""
        self._fold(body, UsageSource.FINAL)
        self._failed = self._failed or member(body, "status") == "failed"
        if not self._failed and not (isinstance(member(body, "output"), list) or str(member(body, "object")).startswith("response")):
            self._failed, self._error_type = True, NOT_A_MESSAGE
        self._finished = not self._failed

    def reading(self) -> Reading:
        usage = self._tally.usage()
        if usage.web_search_requests is None and self._searches:
            usage = replace(usage, web_search_requests=self._searches)
        return Reading(
            usage=usage,
            usage_source=self._source,
            model=self._model,
            message_id=self._id,
            stop_reason=self._stop_reason,
            error_type=self._error_type,
            service_tier=self._service_tier or self._tally.words.get("service_tier"),
            speed=self._tally.words.get("speed"),
            inference_geo=self._tally.words.get("inference_geo"),
            reported_cost_usd=self._tally.cost_usd,
            finished=self._finished,
            failed=self._failed,
        )

    def _fail(self, data: object) -> None:
        """The format's own errors have a code and no type; `{"type": "error", "code": …}` is one without an envelope."""
        self._failed = True
        found = failure(data)
        code = text(member(member(data, "error"), "code"))
        self._error_type = code or (found.type if found else None) or self._error_type

    def _fold(self, response: object, source: UsageSource) -> None:
        if failure(response):
            self._fail(response)
        self._model = text(member(response, "model")) or self._model
        self._id = text(member(response, "id")) or self._id
        self._service_tier = text(member(response, "service_tier")) or self._service_tier
        if source is UsageSource.FINAL:
            reason = text(member(member(response, "incomplete_details"), "reason"))
            self._stop_reason = reason or text(member(response, "status")) or self._stop_reason
            output = member(response, "output")
            # The same calls as the events told of; some gateways leave the list empty.
            self._searches = max(self._searches, sum(map(_is_search, output if isinstance(output, list) else ())))
            self._tally.fold_tools(member(response, "tool_usage"))
            self._tally.fold_answer(response)
        if self._tally.fold(member(response, "usage")):
            self._source = source if self._source is not UsageSource.FINAL else self._source


def _is_search(item: object) -> bool:
    """Whether an output item is a web search that is billed: opening a page and finding text in it are not, nor is a failed call."""
    if member(item, "type") != "web_search_call" or member(item, "status") == "failed":
        return False
    return member(member(item, "action"), "type") in (None, "search")
