"""Request heads: parses those that are plain, and tells which heads differ in nothing but the length of their bodies."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import httptools

from sidecar.wire.fields import by_name, every
from sidecar.wire.target import Target, call_of

if TYPE_CHECKING:
    from sidecar.wire.fields import Field
    from sidecar.wire.target import Call

#: A longer body is not plain: the Messages API itself takes 32 MB.
LARGEST_BODY = 32 * 1024 * 1024

_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
#: A request with one of these asks something of the connection; spelled with an underscore, some servers read it as the same.
_UNUSUAL = frozenset({b"transfer-encoding", b"transfer_encoding", b"content_length", b"expect", b"upgrade"})


class Head:
    """A parsed head.  `raw_path` is the request target as it came, `fields` are all fields in order."""

    def __init__(self, method: str, raw_path: str, fields: tuple[Field, ...], version: tuple[int, int] = (1, 1)) -> None:
        self.method = method
        self.raw_path = raw_path
        self.fields = fields
        self.version = version
        self.named = by_name(fields)

    @cached_property
    def target(self) -> Target:
        """Raises `Refusal` (`bad_request`)."""
        return Target.parse(self.raw_path)

    @cached_property
    def call(self) -> Call:
        return call_of(self.method, self.raw_path.partition("?")[0])


def plain_head(data: bytes) -> tuple[Head, int] | None:
    """Read a head, up to and with its empty line, and return it with the length of the body behind it; None if it is not plain.

    Plain is HTTP/1.1 to be kept alive, with a host, no field twice, and either no body or one with a length on a path that is read whole.
    Nothing is refused here: aiohttp reads again what is not plain, and knows what must be.
    """
    head = _parsed(data)
    if head is None:
        return None
    (digits,) = head.named.get(b"content-length", (b"0",))
    length = int(digits)
    if length > LARGEST_BODY or (length and not head.call.is_read_whole):
        return None
    return head, length


def without_length(data: bytes) -> tuple[bytes, int]:
    """Return a head without the digits of its Content-Length, and their number; `data` and 0 if that is zero or hard to tell."""
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
