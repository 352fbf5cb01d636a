"""Server-sent events out of bytes that arrive in any slices (WHATWG HTML, "Server-sent events", section 9.2.6).

One difference from a browser: a last event whose blank line never came is given by `close()`, because gateways do end that way
and a meter wants it.  `id`, `retry`, comments and unknown fields are skipped.  Content is never judged: data stays bytes.

Made for streams of thousands of small events of which four matter: a run of events that are not wanted is stepped over by one
match of a regular expression (0.2 µs an event; to search for the blank line of each took 0.4).
"""

from __future__ import annotations

import re
from typing import NamedTuple

EVENT_LIMIT = 16 * 1024 * 1024
#: An event of more lines is left out, like one that is too long.  What is metered has two.
LINES_LIMIT = 10_000

_BOM = b"\xef\xbb\xbf"
_CARRIAGE_RETURN = re.compile(rb"\r\n?")
NOTHING = re.compile(rb"(?!)")
#: What nearly every event is.
_NAME_AND_DATA = re.compile(rb"(?:event: ?(.*+)\n)?data: ?(.*+)")


class Event(NamedTuple):
    """`name` is empty where no `event:` line was; `data` are the `data:` lines joined by newlines."""

    name: bytes
    data: bytes


def run_of(*names: bytes) -> re.Pattern[bytes]:
    """Matches whole events, as many as follow each other, that are called so: by their `event` line, or by the `type` that their
    JSON begins with.
    """
    one = b"|".join(map(re.escape, names))
    return re.compile(rb'(?>(?:event: ?(?:%b)\n|data: ?\{"type": ?"(?:%b)".*+\n)(?:.++\n)*+\n)++' % (one, one))


class Scanner:
    """Feed it a stream, get its events but for those that `skip` matches.  The same bytes give the same events however they are
    sliced; memory is bounded by `limit`: an event that is longer is left out, the next one is read again.
    """

    def __init__(self, skip: re.Pattern[bytes] = NOTHING, limit: int = EVENT_LIMIT) -> None:
        self._skip = skip
        self._limit = limit
        self._buffer = bytearray()  # from the start of an event on, line ends already LF
        self._searched = 0
        self._after_cr = False
        self._fresh = True
        self._too_long = False

    def feed(self, chunk: bytes) -> list[Event]:
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        if self._fresh:
            chunk = self._without_bom(chunk)
        text: bytes | bytearray = chunk
        if self._buffer:
            text = self._buffer
            text += chunk
        events: list[Event] = []
        start, searched = 0, self._searched
        while True:
            if searched == start and not self._too_long and (run := self._skip.match(text, start)):
                start = searched = run.end()
            end = text.find(b"\n\n", searched)
            if end < 0:
                break
            if self._too_long or end - start > self._limit:
                self._too_long = False
            elif not self._skip.match(text, start):
                _append(events, bytes(text[start:end]))
            start = searched = end + 2
        if start < len(text) or text is self._buffer:
            self._keep(text, start)
        return events

    def _keep(self, text: bytes | bytearray, start: int) -> None:
        """Hold what begins at `start` for the next slice.  Its last byte may be the first half of a blank line."""
        if text is self._buffer:
            del self._buffer[:start]
        else:
            self._buffer += text[start:]
        self._searched = max(len(self._buffer) - 1, 0)
        if self._searched > self._limit:
            self._too_long = True
        if self._too_long:
            del self._buffer[: self._searched]
            self._searched = 0

    def close(self) -> list[Event]:
        """End of the stream: the event that was still open, if it has data."""
        events: list[Event] = []
        if not self._too_long:
            _append(events, bytes(self._buffer))
        self._buffer.clear()
        return events

    def _without_bom(self, chunk: bytes) -> bytes:
        """Take a byte order mark off the very start; nothing is let through until that can be told."""
        head = bytes(self._buffer) + chunk
        self._buffer.clear()
        self._searched = 0
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._buffer += head
            return b""
        self._fresh = False
        return head.removeprefix(_BOM)

    def _with_lf(self, chunk: bytes) -> bytes:
        """CR LF and CR become LF, also where a CR ended the slice before."""
        if not chunk:
            return chunk
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
            if not chunk:
                return chunk
        self._after_cr = chunk.endswith(b"\r")
        return _CARRIAGE_RETURN.sub(b"\n", chunk)


def _append(events: list[Event], block: bytes) -> None:
    if plain := _NAME_AND_DATA.fullmatch(block):
        events.append(Event(plain[1] or b"", plain[2]))
        return
    if block.count(b"\n") > LINES_LIMIT:
        return
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    if data:
        events.append(Event(name, b"\n".join(data)))
