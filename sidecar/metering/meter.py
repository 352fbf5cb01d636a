"""The copy of one reply, in whatever slices, becomes a `Reading`: content coding -> stream or body -> the protocol's reader.

Whether a reply is a stream or a body is told by its first bytes, not by Content-Type: a gateway may answer a streamed request with
one JSON object, and the other way round.  Nothing here can fail the stream: `feed` never raises, memory is bounded, and metering
that stops says so in the reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sidecar.metering import messages, responses
from sidecar.metering.chat import Chat, Embeddings
from sidecar.metering.errors import ErrorsOnly
from sidecar.metering.reading import Reading
from sidecar.metering.values import NotJSON, decode
from sidecar.wire.coding import CodingError, Decoder, DecodingStopped, codings
from sidecar.wire.sse import NOTHING, Scanner
from sidecar.wire.target import Kind, Protocol

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable

BODY_LIMIT = 32 * 1024 * 1024
#: Of a reply that is no message nothing but an error envelope is wanted.
ENVELOPE_LIMIT = 256 * 1024

#: What one call of `feed` may cost the event loop: some 80 ms.  A gateway that sends more at once is no longer metered.
DECODED_AT_ONCE = 16 * 1024 * 1024
EVENTS_AT_ONCE = 20_000
_SLICE = 256 * 1024

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
#: What a stream can begin with, after a byte order mark and white space.
_STREAM = (b":", b"event:", b"data:", b"id:", b"retry:")
_BEGINNINGS = (*_STREAM, _BOM)
_LONGEST_BEGINNING = max(map(len, _BEGINNINGS))

#: The reader of each protocol, with the events that it has no use for.
_READERS: dict[Protocol, tuple[type[messages.Messages | Chat | responses.Responses], re.Pattern[bytes]]] = {
    Protocol.MESSAGES: (messages.Messages, messages.SKIP),
    Protocol.CHAT: (Chat, NOTHING),
    Protocol.COMPLETIONS: (Chat, NOTHING),
    Protocol.EMBEDDINGS: (Embeddings, NOTHING),
    Protocol.RESPONSES: (responses.Responses, responses.SKIP),
}


class Meter:
    """One reply's meter.

    `protocol` says what is read: a message's usage.  Without one, no more is read than an error, and whether there was usage at all.
    """

    def __init__(self, kind: Kind, content_encoding: str | None, protocol: Protocol | None = Protocol.MESSAGES) -> None:
        names = codings(content_encoding)
        self._decoder = Decoder(names) if names else None
        self._message_due = kind is Kind.INFERENCE and protocol is not None
        reader, skip = _READERS[protocol] if self._message_due and protocol is not None else (ErrorsOnly, NOTHING)
        self._reader = reader()
        #: Known beforehand of a model call without a reader, and of a count of tokens, whose numbers are no usage; else the reply tells.
        self._is_unmetered = {Kind.INFERENCE: protocol is None, Kind.COUNT: False}.get(kind)
        self._scanner = Scanner(skip)
        self._take: Callable[[Meter, bytes], None] = Meter._tell_apart
        self._body = bytearray()
        self._broken = self._off = False
        self._events_left = 0
        self._gave_up: str | None = None

    def feed(self, chunk: bytes) -> None:
        if self._off or not chunk:
            return
        try:
            self._events_left, left = EVENTS_AT_ONCE, DECODED_AT_ONCE
            for piece in _sliced(chunk) if self._decoder is None else self._decoder.feed(chunk):
                left -= len(piece)
                if self._off:
                    break
                if left < 0:
                    self._stop(f"decoded to more than {DECODED_AT_ONCE} bytes at once")
                    break
                self._take(self, piece)
        except CodingError as error:
            self._broken = True
            self._stop(f"broken content coding: {error}")
        except DecodingStopped as stopped:
            self._stop(str(stopped))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the client's stream goes on
            self._stop(f"{type(error).__name__} in the meter")

    def so_far(self) -> Reading:
        """What a stream has said up to now; of a body nothing is known before its end."""
        return self._reader.reading()

    def reading(self) -> Reading:
        """The end of the reply, however it came about.  To be asked once."""
        try:
            reading = self._read()
        except Exception as error:  # noqa: BLE001 -- the row is closed with what is known
            reading = Reading(gave_up=f"{type(error).__name__} in the meter")
        self._off = True
        if self._is_unmetered is not None:
            reading = replace(reading, is_unmetered=self._is_unmetered)
        if self._broken and self._message_due and not reading.finished:
            reading = replace(reading, failed=True, error_type=reading.error_type or "not_json")
        return reading if self._gave_up is None or reading.gave_up else replace(reading, gave_up=self._gave_up)

    def _stop(self, why: str | None) -> None:
        self._off = True
        self._gave_up = self._gave_up or why

    def _tell_apart(self, piece: bytes) -> None:
        """Hold the first bytes back until they say whether this is a stream."""
        head = (bytes(self._body) + piece).removeprefix(_BOM).lstrip(_SPACE)
        self._body.clear()
        if head.startswith(_STREAM):
            self._take = Meter._scan
        elif len(head) < _LONGEST_BEGINNING and any(start.startswith(head) for start in _BEGINNINGS):
            self._body += head
            return
        else:
            self._take = Meter._collect
        self._take(self, head)

    def _scan(self, piece: bytes) -> None:
        events = self._scanner.feed(piece)
        self._events_left -= len(events)
        if self._events_left < 0:
            self._stop(f"more than {EVENTS_AT_ONCE} events at once")
            return
        for event in events:
            self._reader.event(event)

    def _collect(self, piece: bytes) -> None:
        limit = BODY_LIMIT if self._message_due else ENVELOPE_LIMIT
        if len(self._body) + len(piece) <= limit:
            self._body += piece
        else:
            self._body.clear()
            self._stop(f"a body of more than {limit} bytes" if self._message_due else None)

    def _read(self) -> Reading:
        if self._take is Meter._scan:
            for event in self._scanner.close():
                self._reader.event(event)
            return self._reader.reading()
        if not self._body:
            return Reading(empty=not self._off)
        try:
            self._reader.body(decode(self._body))
        except NotJSON as fault:
            garbage = self._message_due and not fault.cut_short and self._take is Meter._collect
            return Reading(failed=garbage, error_type="not_json" if garbage else None)
        return self._reader.reading()


def _sliced(chunk: bytes) -> Iterable[bytes]:
    """`chunk` in slices, so that limits are looked at between them."""
    return (chunk,) if len(chunk) <= _SLICE else (chunk[at : at + _SLICE] for at in range(0, len(chunk), _SLICE))
