"""Records one exchange in the ledger: its row is opened when the request goes out and closed when the exchange has ended."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from sidecar.clock import moment
from sidecar.ledger.entry import Closing, Ending, Opening
from sidecar.metering.headers import reply_facts
from sidecar.metering.meter import Meter
from sidecar.metering.reading import Reading
from sidecar.observe.redact import MARK, redactor_for
from sidecar.proxy.connection import PIECES
from sidecar.proxy.echo import Echo
from sidecar.wire.chunk import contents
from sidecar.wire.fields import every, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from sidecar.errors import Refusal
    from sidecar.gateways.route import Route
    from sidecar.observe.redact import Redactor
    from sidecar.proxy.exchange import Parts
    from sidecar.proxy.plan import Plan
    from sidecar.wire.body import Body
    from sidecar.wire.message import Message

log = structlog.get_logger("sidecar.exchange")

_ERROR_STATUS = 400
#: A piece of a body of at least this size goes to the meter at once.  Smaller ones are collected first.
_LARGE_PIECE = 4 * 1024
#: What a gateway bills beside the top level: an entry has some 200 bytes.
_LONGEST_ITERATIONS = 64 * 1024
#: The texts of a reading that a gateway chooses.
_GATEWAYS_TEXTS = ("model", "message_id", "stop_reason", "error_type", "service_tier", "speed", "inference_geo")
_NOTHING_SAID: tuple[str | None, str | None, float | None] = (None, None, None)


class Record:
    """Collects what becomes known.  `ending` says how it came out; until somebody knows better, the gateway broke off.

    What costs time is done when nobody waits for it: the row is made once the request is on its way, and what a reply says is read
    when the agent has its first bytes.
    """

    ending = Ending.CUT
    _opening: Opening | None = None
    _message: Message | None = None
    _secrets: Iterable[str] = ()
    _meter: Meter | None = None
    _echo: Echo | None = None
    _facts = _NOTHING_SAID
    _first_byte_at: float | None = None
    _status: int | None = None
    _own_error: str | None = None
    _bytes_out = 0

    def __init__(self, parts: Parts, plan: Plan, there: Route, stream: bool | None, bytes_in: int) -> None:
        self._parts = parts
        self._plan = plan
        self._there = there
        self._stream = stream
        self._bytes_in = bytes_in
        self.chunks: list[bytes] = []
        self._pieces: list[bytes] = []
        self._started_at = time.time()
        self._begun = time.monotonic()

    def open(self) -> Opening:
        """Write the row to the ledger, unless that has been done."""
        if self._opening is None:
            started_at = self._started_at
            redactor = self._redactor()
            row = self._plan.row(
                redactor,
                id=self._parts.ids.next(int(started_at * 1000)),
                instance=self._parts.instance,
                started_at=moment(started_at),
                model_sent=redactor.columns((self._there.model_sent,))[0],
                stream=self._stream,
            )
            self._opening = Opening(row, started_at, self._there.kind, self._plan.tags, self._there.gateway.terms)
            self._parts.ledger.open(self._opening)
        return self._opening

    async def counted(self, content: AsyncIterator[Body]) -> AsyncIterator[Body]:
        async for piece in content:
            self._bytes_in += len(piece)
            yield piece

    def answered(self, message: Message, secrets: Iterable[str]) -> None:
        """The gateway's reply has begun.  `secrets` are those that the request carried: an error reply may quote them."""
        self._status = message.status
        self._message = message
        self._secrets = secrets

    def take(self, data: bytes) -> None:
        """Collect bytes of the reply's body that were sent to the agent."""
        if self._first_byte_at is None and data:
            self._first_byte_at = time.monotonic()
        if self.chunks:
            self.look()  # they came before
        self._pieces.append(data)
        if len(self._pieces) >= PIECES or len(data) >= _LARGE_PIECE:
            self.look()

    def look(self) -> None:
        """Feed the meter with what was collected."""
        if self._message is not None and self._meter is None:
            self._begin(self._message)
        copied = b"".join(self._pieces) + contents(self.chunks)
        self._pieces.clear()
        self.chunks.clear()
        self._bytes_out += len(copied)
        if self._meter is not None:
            self._meter.feed(copied)
        if self._echo is not None:
            self._echo.feed(copied)

    def _begin(self, message: Message) -> None:
        coding = text(b", ".join(every(message.named, b"content-encoding")))
        self._meter = Meter(self._there.kind, coding, self._there.protocol)
        self._facts = reply_facts(message.named)
        if message.status >= _ERROR_STATUS:
            self._echo = Echo(self._secrets, coding)
            for _, value in message.fields:
                self._echo.field(value)

    def refused(self, refusal: Refusal) -> None:
        self._own_error = refusal.code
        if refusal.code == "unreachable":
            self.ending = Ending.UNREACHABLE
        elif refusal.code.startswith("timeout"):
            self.ending = Ending.TIMEOUT
        elif refusal.code == "bad_request":  # the agent's own body broke off under way
            self.ending = Ending.CLIENT_GONE

    def under_way(self) -> dict[str, object]:
        """The state of the exchange as the own path `streams` shows it.  Tokens are those that the reply has reported so far."""
        self.look()
        row, now, first_byte = self.open().row, time.monotonic(), self._first_byte_at
        redactor = self._redactor()
        reading = self._meter.so_far() if self._meter is not None else Reading()
        return {
            "id": row.id,
            "session": row.session,
            "agent": row.agent,
            "gateway": row.gateway,
            "model": (redactor.column(reading.model) if reading.model else None) or row.model_sent or row.model_requested,
            "client": row.client,
            "age_ms": round((now - self._begun) * 1000, 1),
            "first_byte_ms": None if first_byte is None else round((first_byte - self._begun) * 1000, 1),
            "bytes_out": self._bytes_out,
            "input_tokens": reading.usage.input,
            "output_tokens": reading.usage.output,
            "cache_read_tokens": reading.usage.cache_read,
            "cache_write_5m_tokens": reading.usage.cache_write_5m,
            "cache_write_1h_tokens": reading.usage.cache_write_1h,
        }

    def close(self) -> None:
        now = time.monotonic()
        self.look()
        row = self.open().row
        duration = (now - self._begun) * 1000
        first_byte = self._first_byte_at
        reading = Reading(empty=True) if self._meter is None else self._meter.reading()
        if self._echo is not None and self._echo.found:
            # Any text in such a reply may be a part of the secret.
            clean, facts, is_echo = Reading(), _NOTHING_SAID, True
        else:
            clean, facts, is_echo = self._cleaned(reading)
        if is_echo:
            log.warning("reply.echoes_secret", id=row.id, gateway=row.gateway, status=self._status)
        request_id, cache_status, header_cost = facts
        closing = Closing(
            id=row.id,
            finished_at=self._started_at + duration / 1000,
            ending=self.ending,
            status=self._status,
            own_error=self._own_error,
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            first_byte_ms=None if first_byte is None else round((first_byte - self._begun) * 1000, 1),
            duration_ms=round(duration, 1),
            request_id=request_id,
            cache_status=cache_status,
            header_cost_usd=header_cost,
            reading=clean,
        )
        self._parts.ledger.close(closing)

    def _redactor(self) -> Redactor:
        """The redactor for every secret in use now.  The secrets that this request carried are among them."""
        return redactor_for(self._parts.vault.in_use() | self._plan.credentials)

    def _cleaned(self, reading: Reading) -> tuple[Reading, tuple[str | None, str | None, float | None], bool]:
        """The reading and the facts of the reply's header, redacted for the ledger, and whether a secret was found in them."""
        redactor = self._redactor()
        request_id, cache_status, cost = self._facts
        iterations = _iterations(reading.iterations, redactor)
        said = (*(getattr(reading, name) for name in _GATEWAYS_TEXTS), request_id, cache_status)
        texts = redactor.columns(said)
        if texts is said and iterations == reading.iterations:
            return reading, self._facts, False
        is_echo = any(map(_has_lost_a_secret, (*said, reading.iterations), (*texts, iterations)))
        reading = replace(reading, iterations=iterations, **dict(zip(_GATEWAYS_TEXTS, texts, strict=False)))
        return reading, (texts[-2], texts[-1], cost), is_echo


def _has_lost_a_secret(said: str | None, kept: str | None) -> bool:
    return kept is not None and MARK in kept and MARK not in (said or "")


def _iterations(text: str | None, redactor: Redactor) -> str | None:
    """The JSON text with each string in it redacted.  None if it is absurdly long."""
    if text is None or len(text) > _LONGEST_ITERATIONS:
        return None
    return json.dumps(_columns_in(json.loads(text), redactor), separators=(",", ":"))


def _columns_in(value: object, redactor: Redactor) -> object:
    match value:
        case str():
            return redactor.column(value)
        case dict():
            return {redactor.column(name): _columns_in(inner, redactor) for name, inner in value.items()}
        case list():
            return [_columns_in(inner, redactor) for inner in value]
        case _:
            return value
