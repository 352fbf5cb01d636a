"""Content codings undone step by step (RFC 9110, section 8.4.1): gzip, deflate, br, zstd, and lists of them.

For the meter's copy only; what the client gets is never touched.  Bounded: a step gives at most `STEP` bytes or so, one exchange at
most `limit`, so a bomb costs little.  What a truncated reply held is given as far as it decodes.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP = 256 * 1024
DECODED_LIMIT = 64 * 1024 * 1024
#: Servers apply one coding, a proxy perhaps a second; each takes a decoder with buffers of its own.
MOST_CODINGS = 4
#: gzip members or zstd frames in one reply.  Each costs a decoder, and a copy of all that follows it.
MOST_MEMBERS = 1000


class CodingError(Exception):
    """The bytes are not what Content-Encoding says."""


class DecodingStopped(Exception):
    """Decoding goes no further: a coding that is not known, or too much data."""


class _Coding(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Zlib:
    """gzip, with any number of members, or deflate."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._inflate: zlib._Decompress | None = None
        self._members = 0
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data and not self._ended:
            if self._inflate is None:
                if self._members:
                    # Zeros may pad what follows a member (GNU gzip manual, "Tapes").
                    data = data.lstrip(b"\0")
                    if not data:
                        return
                self._inflate = zlib.decompressobj(self._window(data[0]))
            inflate = self._inflate
            try:
                piece = inflate.decompress(data, STEP)
            except zlib.error as error:
                raise CodingError(str(error)) from error
            if piece:
                yield piece
            data = inflate.unconsumed_tail
            if inflate.eof:
                data = inflate.unused_data
                self._inflate = None
                self._members = _one_more(self._members)
                self._ended = not self._gzip

    def _window(self, first: int) -> int:
        """`deflate` is zlib by the RFC and raw by habit.  A raw stream never begins with a zlib header's low nibble, 8: that
        would be a stored block with a padding bit set.
        """
        if self._gzip:
            return 31
        return 15 if first & 0x0F == zlib.DEFLATED else -15


class _Brotli:
    def __init__(self) -> None:
        import brotli  # type: ignore[import-untyped]  # noqa: PLC0415 - few gateways send it

        self._inflate = brotli.Decompressor()
        self._error = brotli.error

    def feed(self, data: bytes) -> Iterator[bytes]:
        # Not `can_accept_more_data()`: with brotli 1.2 it is true while output still waits; a short piece is the sign of none.
        full = True
        while full and not self._inflate.is_finished():
            try:
                piece = self._inflate.process(data, output_buffer_limit=STEP)
            except self._error as error:
                raise CodingError(str(error)) from error
            if piece:
                yield piece
            full = len(piece) >= STEP
            data = b""


class _Zstd:
    """Any number of frames."""

    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415 - few gateways send it
        else:
            from backports import zstd  # noqa: PLC0415 - few gateways send it

        self._library = zstd
        self._inflate = zstd.ZstdDecompressor()
        self._frames = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or not self._inflate.needs_input:
            try:
                piece = self._inflate.decompress(data, STEP)
            except self._library.ZstdError as error:
                raise CodingError(str(error)) from error
            if piece:
                yield piece
            data = b""
            if self._inflate.eof:
                self._frames = _one_more(self._frames)
                data = self._inflate.unused_data
                self._inflate = self._library.ZstdDecompressor()


_CODINGS: dict[str, Callable[[], _Coding]] = {
    "gzip": lambda: _Zlib(gzip=True),
    "x-gzip": lambda: _Zlib(gzip=True),
    "deflate": lambda: _Zlib(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}


def codings(content_encoding: str | None) -> tuple[str, ...]:
    """The names in a Content-Encoding value, lower case, in the order in which they were applied; `identity` counts as none."""
    if not content_encoding:
        return ()
    names = (name.strip().lower() for name in content_encoding.split(","))
    return tuple(name for name in names if name not in {"", "identity"})


class Decoder:
    """Plain bytes out of coded ones.  `feed` raises `CodingError` for data that is broken, `DecodingStopped` for what is not
    decoded: after either, no more may be fed.
    """

    def __init__(self, names: tuple[str, ...], limit: int = DECODED_LIMIT) -> None:
        self._names = names
        self._stages: list[_Coding] | None = None
        self._left = limit
        self._limit = limit

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._stages is None:
            self._stages = self._begin()
        for piece in _through(self._stages, chunk):
            self._left -= len(piece)
            if self._left < 0:
                raise DecodingStopped(f"decoded to more than {self._limit} bytes")
            yield piece

    def _begin(self) -> list[_Coding]:
        if len(self._names) > MOST_CODINGS:
            raise DecodingStopped(f"more than {MOST_CODINGS} content codings")
        for name in self._names:
            if name not in _CODINGS:
                raise DecodingStopped(f"unknown content coding {name[:40]!r}")
        return [_CODINGS[name]() for name in reversed(self._names)]


def _one_more(members: int) -> int:
    if members >= MOST_MEMBERS:
        raise DecodingStopped(f"more than {MOST_MEMBERS} members of one coding")
    return members + 1


def _through(stages: list[_Coding], chunk: bytes) -> Iterator[bytes]:
    if not stages:
        yield chunk
        return
    for piece in stages[0].feed(chunk):
        yield from _through(stages[1:], piece)
