"""Chunks of a message body (RFC 9112 section 7.1): made, recognised, and opened.

A gateway writes every event as a chunk of its own, and a read mostly brings one of them, whole.  Such bytes need not be taken apart and
put together again: they are what an agent would be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Longer ones are not recognised.
LONGEST = 2 * 1024


def as_chunk(data: bytes) -> bytes:
    """`data`, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def contents(chunks: Iterable[bytes]) -> bytes:
    """What is in whole chunks that have no extensions."""
    return b"".join([whole[whole.index(b"\n") + 1 : -2] for whole in chunks])


def _beginnings() -> list[bytes | tuple[bytes, ...]]:
    """By a chunk's length in all: what it begins with, in either case.  Nothing begins with an empty tuple: no chunk is that long."""
    known: list[bytes | tuple[bytes, ...]] = [()] * (LONGEST + 1)
    for size in range(1, LONGEST):
        line = b"%x\r\n" % size
        length = len(line) + size + 2
        if length <= LONGEST:
            known[length] = line if line == line.upper() else (line, line.upper())
    return known


#: Where a chunk begins, `data` is one, whole, with no extensions and no zeros before its size, if it starts with `BEGINNINGS[len(data)]`
#: and ends with CR LF.
BEGINNINGS = _beginnings()
