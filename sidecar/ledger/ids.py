"""Identifiers of rows: UUIDv7 (RFC 9562, section 5.7), strictly rising however fast they are asked for and whatever the clock does."""

from __future__ import annotations

from random import Random

_RANDOM_BITS = 74
_VARIANT = 0b10 << 14


class Ids:
    """One instance's ids.  Not for several threads."""

    def __init__(self) -> None:
        self._last = 0
        # Seeded by the system once; to be told apart, an id needs no secret in it.
        self._random = Random()  # noqa: S311

    def next(self, now_ms: int) -> str:
        """An id made at `now_ms` since the epoch; just above the last one if the clock stood still or went back."""
        fresh = now_ms << _RANDOM_BITS | self._random.getrandbits(_RANDOM_BITS)
        # The random part is the counter (RFC 9562, section 6.2, method 2): a random step keeps two clocks' ids apart.
        self._last = fresh if fresh >> _RANDOM_BITS > self._last >> _RANDOM_BITS else self._last + 1 + self._random.getrandbits(32)
        moment, high, low = self._last >> _RANDOM_BITS, self._last >> 62 & 0xFFF, self._last & (1 << 62) - 1
        return f"{moment >> 16:08x}-{moment & 0xFFFF:04x}-7{high:03x}-{_VARIANT | low >> 48:04x}-{low & 0xFFFFFFFFFFFF:012x}"
