"""One exchange on its way into the ledger: the row is opened when the request goes out and closed when it has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from sidecar.clock import moment
from sidecar.ledger.entry import Closing, Ending, Opening
from sidecar.metering.headers import reply_facts
from sidecar.metering.meter import Meter
from sidecar.metering.reading import Reading
from sidecar.proxy.echo import Echo
from sidecar.wire.fields import every, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from sidecar.errors import Refusal
    from sidecar.gateways.route import Route
    from sidecar.ledger.ids import Ids
    from sidecar.ledger.writer import Ledger
    from sidecar.proxy.plan import Plan
    from sidecar.proxy.reply import Reply
    from sidecar.wire.body import Body

log = structlog.get_logger("sidecar.exchange")

_ERROR_STATUS = 400
#: Pieces of a reply that are looked at together, or what has come when one is larger: events come in packets of their own, and nobody
#: needs to know at once what they say.
PIECES = 24
LARGE_PIECE = 4 * 1024
_NOTHING_SAID: tuple[str | None, str | None, float | None] = (None, None, None)


class Record:
    """Collects what becomes known.  `ending` says how it came out; until somebody knows better, the gateway broke off."""

    def __init__(
        self,
        ledger: Ledger,
        ids: Ids,
        instance: str,
        plan: Plan,
        there: Route,
        stream: bool | None,
        bytes_in: int,
    ) -> None:
        now = time.time()
        self.id = ids.next(int(now * 1000))
        row = plan.row(id=self.id, instance=instance, started_at=moment(now), model_sent=there.model_sent, stream=stream)
        self._opening = Opening(row, now, there.kind, plan.tags, there.gateway.terms)
        ledger.open(self._opening)
        self._meter: Meter | None = None
        self._echo: Echo | None = None
        self.ending = Ending.CUT
        self._ledger = ledger
        self._begun = time.monotonic()
        self._bytes_in = bytes_in
        self._bytes_out = 0
        self._copied: list[bytes] = []
        self._first_byte_at: float | None = None
        self._status: int | None = None
        self._own_error: str | None = None
        self._facts = _NOTHING_SAID

    async def counted(self, content: AsyncIterator[Body]) -> AsyncIterator[Body]:
        async for piece in content:
            self._bytes_in += len(piece)
            yield piece

    def answered(self, reply: Reply, secrets: Iterable[str]) -> None:
        """`secrets`: what the request carried, and an error must not be quoted with."""
        coding = text(b", ".join(every(reply.named, b"content-encoding")))
        self._meter = Meter(self._opening.kind, coding, self._opening.row.path)
        self._status = reply.status
        self._facts = reply_facts(reply.named)
        if reply.status >= _ERROR_STATUS:
            self._echo = Echo(secrets, coding)
            for _, value in reply.fields:
                self._echo.field(value)

    def take(self, copied: bytes) -> None:
        """The next bytes of the reply's body, which the agent has by now."""
        if self._first_byte_at is None and copied:
            self._first_byte_at = time.monotonic()
        self._copied.append(copied)
        if len(self._copied) >= PIECES or len(copied) >= LARGE_PIECE:
            self._look()

    def _look(self) -> None:
        copied = self._copied[0] if len(self._copied) == 1 else b"".join(self._copied)
        self._copied.clear()
        self._bytes_out += len(copied)
        if self._meter is not None:
            self._meter.feed(copied)
        if self._echo is not None:
            self._echo.feed(copied)

    def refused(self, refusal: Refusal) -> None:
        self._own_error = refusal.code
        if refusal.code == "unreachable":
            self.ending = Ending.UNREACHABLE
        elif refusal.code.startswith("timeout"):
            self.ending = Ending.TIMEOUT
        elif refusal.code == "bad_request":  # the agent's own body broke off under way
            self.ending = Ending.CLIENT_GONE

    def under_way(self) -> dict[str, object]:
        """How far it is, as the own path `streams` tells it.  Tokens are those that the reply itself has named up to now."""
        self._look()
        row, now, first_byte = self._opening.row, time.monotonic(), self._first_byte_at
        # Any text in an error may quote a secret.
        reading = self._meter.so_far() if self._meter is not None and self._echo is None else Reading()
        return {
            "id": row.id,
            "session": row.session,
            "agent": row.agent,
            "gateway": row.gateway,
            "model": reading.model or row.model_sent or row.model_requested,
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
        self._look()
        duration = (now - self._begun) * 1000
        first_byte = self._first_byte_at
        reading = Reading(empty=True) if self._meter is None else self._meter.reading()
        if self._echo is not None and self._echo.found:
            log.warning("reply.echoes_secret", id=self.id, gateway=self._opening.row.gateway, status=self._status)
            # Any text in such a reply may be the secret itself.
            reading, self._facts = Reading(), _NOTHING_SAID
        request_id, cache_status, header_cost = self._facts
        closing = Closing(
            id=self.id,
            finished_at=self._opening.started_at + duration / 1000,
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
            reading=reading,
        )
        self._ledger.close(closing)
