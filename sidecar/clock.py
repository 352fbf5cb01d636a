"""Times as the ledger and the log write them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def moment(seconds: float) -> str:
    """Seconds since the epoch as text that sorts: `2026-11-21T01:57:06.123Z`."""
    whole, part = divmod(seconds, 1)
    # To the microsecond first, as `datetime` does, which needs three times as long (0.4 against 1.3 µs): .123 is .12299 in binary.
    microseconds = round(part * 1_000_000)
    return f"{_second(int(whole) + microseconds // 1_000_000)}.{microseconds % 1_000_000 // 1000:03}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
