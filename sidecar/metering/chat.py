"""OpenAI's Chat Completions: the chunks of one stream, or one whole body, become a `Reading`.

A stream reports usage only if its request asked for it (`stream_options.include_usage`): OpenAI sends it in an extra chunk without
choices before `[DONE]`, Groq under `x_groq`, Moonshot within the last choice.  If there is none, usage is unknown, not zero.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidecar.metering.errors import NOT_A_MESSAGE, failure
from sidecar.metering.openai import Tally
from sidecar.metering.reading import Reading, UsageSource
from sidecar.metering.values import NotJSON, decode, member, text

if TYPE_CHECKING:
    from sidecar.wire.sse import Event


class Chat:
    """One reply.  Give it every event, or the one body, then ask for the reading."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._source = UsageSource.NONE
        self._model: str | None = None
        self._id: str | None = None
        self._service_tier: str | None = None
        self._stop_reason: str | None = None
        self._error_type: str | None = None
        self._failed = False
        self._finished = False

    def event(self, event: Event) -> None:
        if event.data.strip() == b"[DONE]":
            self._finished = self._finished or not self._failed
            return
        self._failed = self._failed or event.name == b"error"
        with suppress(NotJSON):
            self._fold(decode(event.data), whole=False)
            self._finished = self._finished or (self._stop_reason is not None and not self._failed)

    def body(self, body: object) -> None:
        """A whole JSON reply: a completion, an error, or anything else that is JSON."""
        self._fold(body, whole=True)
        if not self._failed and not self._is_message(body):
            self._failed, self._error_type = True, NOT_A_MESSAGE
        self._finished = not self._failed

    def _is_message(self, body: object) -> bool:
        return isinstance(member(body, "choices"), list)

    def reading(self) -> Reading:
        return Reading(
            usage=self._tally.usage(),
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

    def _fold(self, data: object, *, whole: bool) -> None:
        if found := failure(data):
            self._failed = True
            self._error_type = found.type or self._error_type
        self._model = text(member(data, "model")) or self._model
        self._id = text(member(data, "id")) or self._id
        self._service_tier = text(member(data, "service_tier")) or self._service_tier
        choices = member(data, "choices")
        usage_of_choice: object = None
        for choice in choices if isinstance(choices, list) else ():
            self._tally.fold_answer(member(choice, "delta") or member(choice, "message"))
            usage_of_choice = member(choice, "usage") or usage_of_choice
            self._stop_reason = text(member(choice, "finish_reason")) or self._stop_reason
        # OpenRouter: what broke off in the middle ends with this reason, beside an error of its own.
        self._failed = self._failed or self._stop_reason == "error"
        usage = member(data, "usage") or member(member(data, "x_groq"), "usage") or usage_of_choice
        if usage and self._tally.fold(usage) and self._source is not UsageSource.FINAL:
            is_last = whole or not choices or self._stop_reason is not None
            self._source = UsageSource.FINAL if is_last else UsageSource.PARTIAL


class Embeddings(Chat):
    """Embeddings answer with a list of vectors and a usage object of Chat Completions, without a completion."""

    def _is_message(self, body: object) -> bool:
        return member(body, "object") == "list" or isinstance(member(body, "data"), list)

    def reading(self) -> Reading:
        reading = super().reading()
        if reading.usage.input is None:
            return reading
        return replace(reading, usage=replace(reading.usage, output=0))
