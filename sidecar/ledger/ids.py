"""Identifiers of rows: UUIDv7 (RFC 9562, section 5.7), strictly rising however fast they are asked for and whatever the clock does."""

from __future__ import annotations

import secrets
from uuid import UUID

_RANDOM_BITS = 74
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


class Ids:
    """One instance's ids.  Not for several threads."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_ms: int) -> str:
        """An id made at `now_ms` since the epoch; just above the last one if the clock stood still or went back."""
        fresh = now_ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        # The random part is the counter (RFC 9562, section 6.2, method 2): a random step keeps ids hard to guess.
        self._last = fresh if fresh >> _RANDOM_BITS > self._last >> _RANDOM_BITS else self._last + 1 + secrets.randbits(32)
        moment, high, low = self._last >> _RANDOM_BITS, self._last >> 62 & 0xFFF, self._last & (1 << 62) - 1
        return str(UUID(int=moment << 80 | _VERSION | high << 64 | _VARIANT | low))
