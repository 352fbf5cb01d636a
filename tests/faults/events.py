"""The message that the gateway streams in every cell, and how it is written onto the wire."""

from __future__ import annotations

import zlib
from enum import StrEnum

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],'
    b'"model":"m","stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
)
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"caf\xc3\xa9"}}\n\n'
HALF = DELTA[:60]
END = (
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"later"}}\n\n'
PAGE = b"<!doctype html><title>Sign in</title><p>Your network asks you to sign in.</p>"

MESSAGE = (START, DELTA, END)


class Framing(StrEnum):
    """What tells where a body ends: RFC 9112 section 6.3."""

    CHUNKED = "chunked"
    LENGTH = "length"
    CLOSE = "close"


class Coding(StrEnum):
    PLAIN = "plain"
    GZIP = "gzip"


def coded(pieces: tuple[bytes, ...], coding: Coding, *, is_last: bool) -> list[bytes]:
    """`pieces` as they travel, each flushed so that it can be read at once; `is_last` if nothing follows them."""
    if coding is Coding.PLAIN or not pieces:
        return list(pieces)
    squeeze = zlib.compressobj(wbits=31)
    written = [squeeze.compress(piece) + squeeze.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    if is_last:
        written[-1] += squeeze.flush()
    return written


def framed(pieces: list[bytes], framing: Framing) -> bytes:
    """`pieces` without what ends the body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) if framing is Framing.CHUNKED else b"".join(pieces)
