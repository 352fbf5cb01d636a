"""Request heads as bytes."""

from __future__ import annotations


def head(
    *fields: bytes, line: bytes = b"POST /v1/messages?beta=true HTTP/1.1", host: bytes = b"Host: 127.0.0.1", end: bytes = b"\r\n"
) -> bytes:
    return end.join((line, *([host] if host else []), *fields, b"", b""))
