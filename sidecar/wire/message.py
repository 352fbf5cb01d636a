"""A gateway's reply as bytes -> its status, its fields and its body, the chunked coding taken off.

The parser is llhttp (httptools).  Field values are the bytes they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httptools

from sidecar.errors import Refusal
from sidecar.wire.fields import are_legal, by_name, every

if TYPE_CHECKING:
    from sidecar.wire.fields import ByName, Field

#: A reply's head may be as large as this; nginx and Node stop far below.
MAX_HEAD = 256 * 1024

_KEEP_ALIVE_TIMEOUT = re.compile(rb"\btimeout *= *(\d{1,9})\b", re.IGNORECASE)

# Gateways in the wild end lines with a bare LF, fold fields, and put a space after a chunk's size; agents reading them directly
# would accept that, so it is no reason to refuse a reply.  What changes where a message ends stays strict.
_LENIENT = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_optional_lf_after_cr": False,
    "lenient_spaces_after_chunk_size": True,
}


class Message:
    """`feed` it what arrives, and `end` it when nothing more can; once either has raised, it reads no more.

    `named` are the `fields` by name; all of them, and `status` and `reason`, are there when it `has_head`.  `body` collects what has come
    of it, for the caller to take out.  `is_reusable`: complete, and the connection fit for another.  `idle_seconds` is how long the
    gateway will keep it, if it says so.  `is_at_chunk`: what comes next begins a chunk, beyond doubt.
    """

    status = 0
    reason = b""
    has_head = False
    is_chunked = False
    is_at_chunk = False
    is_complete = False
    is_reusable = False
    idle_seconds: float | None = None
    _head_bytes = 0
    _until_close = False
    _last = 0

    def __init__(self, *, is_head: bool) -> None:
        """`is_head`: the answer to a HEAD, which has no body whatever its fields say."""
        self.fields: list[Field] = []
        self.named: ByName = {}
        self.body: list[bytes] = []
        self._in_chunk = [False, True]  # the first says whether we are in one: the parser turns them round where one begins or ends
        # For the parser, which calls these for every event: methods of ours would cost as much again as the parsing.
        self.on_body = self.body.append
        self.on_chunk_header = self.on_chunk_complete = self._in_chunk.reverse
        self._is_head = is_head
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENT)

    def feed(self, data: bytes) -> None:
        """Raises `Refusal` (`bad_reply`); what came of the body before the fault is in `body`."""
        if self.is_complete:
            self.is_reusable = False  # bytes behind the end of the message
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            self.is_reusable = False
            if not self.is_complete:
                raise (error.__context__ if isinstance(error.__context__, Refusal) else _bad_reply(str(error))) from None
        if self.is_complete:
            del self.body[self._last :]  # a body behind the end of the message
        elif not self.has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                raise _bad_reply(f"a head of more than {MAX_HEAD // 1024} KiB")
        # Outside of chunks the parser stands behind a CR LF only where one ended, or the head did.
        self.is_at_chunk = self.is_chunked and not self.is_complete and not self._in_chunk[0] and data.endswith(b"\r\n")

    def end(self, *, politely: bool) -> None:
        """The connection is gone.  Where the message has no length of its own, a polite end is its end (RFC 9112 section 6.3).

        Raises `Refusal` (`bad_reply`, `upstream_closed`) where it is not complete.
        """
        if not self.is_complete:
            if not self.has_head and not self._head_bytes:
                raise Refusal("upstream_closed", "the gateway closed the connection before it answered")
            if not (self.has_head and self._until_close and politely):
                raise _bad_reply("it closed the connection in the middle of its reply")
            self._complete()
        self.is_reusable = False

    def close(self) -> None:
        """No more is read.  The parser holds our methods: a circle that only the garbage collector would find."""
        del self._parser

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.is_reusable = False  # bytes behind the end of the message
        else:
            self.reason = b""
            self.fields = []

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # trailers come this way, too, and are not relayed
            self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:  # an upgrade that nobody asked for
            raise _bad_reply("it switched protocols (101)")
        if status < 200:  # 1xx: an interim reply, the real one follows
            return
        # What a field's value must not hold, a reason phrase must not hold either (RFC 9112 section 4).
        if not are_legal((*self.fields, (b"reason", self.reason))):
            raise _bad_reply("a header field or a reason phrase that HTTP does not allow")
        self.named = by_name(self.fields)
        codings = [value.strip().lower() for value in every(self.named, b"transfer-encoding")]
        if codings not in ([], [b"chunked"]):
            raise _bad_reply("a transfer coding other than chunked")
        # httptools 0.9 reads "3 LF LF abc" as a chunk of "abc": between chunks leniency would eat a body's first byte.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=False)
        for value in every(self.named, b"keep-alive"):
            if limit := _KEEP_ALIVE_TIMEOUT.search(value):
                self.idle_seconds = float(limit[1])
        self.status = status
        self.has_head = True
        self.is_chunked = bool(codings)
        self._until_close = not codings and b"content-length" not in self.named
        if self._is_head:
            # The parser cannot know that no body follows: the message ends here, and the connection with it.
            self._complete()

    def on_message_complete(self) -> None:
        if self.has_head and not self.is_complete:
            self._complete()
            self.is_reusable = self._parser.should_keep_alive()

    def _complete(self) -> None:
        self.is_complete = True
        self._last = len(self.body)


def _bad_reply(what: str) -> Refusal:
    return Refusal("bad_reply", f"the gateway's reply is not usable: {what}")
