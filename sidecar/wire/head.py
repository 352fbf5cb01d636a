"""Request heads as bytes -> `Head`, one for all requests whose heads differ in nothing but the length of what follows.

An agent sends the same head with every request of a conversation.  So it is parsed once, and whatever else follows from a head can be
found once: a `Head` is its own key.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import httptools

from sidecar.wire.fields import by_name, every
from sidecar.wire.target import Target, call_of

if TYPE_CHECKING:
    from sidecar.wire.fields import Field
    from sidecar.wire.target import Call

#: Heads that are remembered, and bytes of one above which it is not.  An agent has a handful.
MOST_HEADS = 256
LARGEST_HEAD = 16 * 1024
#: A longer body is not plain: the Messages API itself takes 32 MB.
LARGEST_BODY = 32 * 1024 * 1024

_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
#: A request with one of these asks something of the connection; spelled with an underscore, some servers read it as the same.
_UNUSUAL = frozenset({b"transfer-encoding", b"transfer_encoding", b"content_length", b"expect", b"upgrade"})


class Head:
    """`raw_path` is the request target as it came, `fields` are all fields in order.  Where `is_shared`, the Content-Length among them
    is that of the first request only.
    """

    def __init__(self, method: str, raw_path: str, fields: tuple[Field, ...], version: tuple[int, int] = (1, 1)) -> None:
        self.method = method
        self.raw_path = raw_path
        self.fields = fields
        self.version = version
        self.is_shared = False
        self.named = by_name(fields)

    @cached_property
    def target(self) -> Target:
        """Raises `Refusal` (`bad_request`)."""
        return Target.parse(self.raw_path)

    @cached_property
    def call(self) -> Call:
        return call_of(self.method, self.raw_path.partition("?")[0])


class Heads:
    """Reads heads that are plain: HTTP/1.1 to be kept alive, a host, no field twice, a body with a length on a path that is read whole or none.

    What it does not take is not refused: aiohttp reads it again, and knows what must be.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bool], Head] = {}

    def read(self, data: bytes) -> tuple[Head, int] | None:
        """A head, up to and with its empty line, and the length of the body behind it; None if it is not plain."""
        rest, length = _without_length(data)
        key = rest, length > 0  # without digits from the start is another head, and none that is taken here
        head = self._known.get(key)
        if head is not None:
            return (head, length) if length <= LARGEST_BODY else None
        head = _parsed(data)
        if head is None:
            return None
        (told,) = head.named.get(b"content-length", (b"0",))
        if int(told) > LARGEST_BODY or (int(told) and not head.call.is_read_whole):
            return None
        head.is_shared = len(data) <= LARGEST_HEAD and int(told) == length  # else it is spelled in a way of its own
        if head.is_shared:
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            self._known[key] = head
        return head, int(told)


def _without_length(data: bytes) -> tuple[bytes, int]:
    """`data` without the digits of its Content-Length, and the number; `data` and 0 where that is zero or hard to tell."""
    for name in _LENGTHS:
        at = data.find(name)
        if at >= 0:
            start = at + len(name)
            end = data.find(b"\r\n", start)
            digits = data[start:end]
            if digits.isdigit() and len(digits) < 10 and not digits.startswith(b"0"):
                return data[:start] + data[end:], int(digits)
            break
    return data, 0


class _Parts:
    """What llhttp, strict, finds."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[Field] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.rstrip(b" \t")))


def _parsed(data: bytes) -> Head | None:
    parts = _Parts()
    parser = httptools.HttpRequestParser(parts)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    if not parts.url or parser.get_http_version() != "1.1":
        return None
    method, target = parser.get_method().decode(), parts.url.decode("utf-8", "surrogateescape")
    head = Head(method, target, tuple(parts.fields))
    stays = all(value.lower() == b"keep-alive" for value in every(head.named, b"connection"))
    is_usual = stays and b"host" in head.named and _UNUSUAL.isdisjoint(head.named)
    return head if is_usual and len(head.named) == len(parts.fields) else None
