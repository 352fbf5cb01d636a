"""Reads times as people write them: `today`, `yesterday`, `now`, `7d`, `12h`, `2026-11-01`, `2026-11-01T09:30`, with or without an offset.

A day is the local one: it begins at the local midnight.  What has no offset is local too.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from sidecar.errors import UsageError

_AGO = re.compile(r"([0-9]{1,6})\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_of(text: str, now: datetime) -> datetime:
    """The moment `text` names, seen from `now`, which knows its zone.  Raises UsageError."""
    words = text.strip().lower()
    if words == "now":
        return now
    if words in {"today", "yesterday"}:
        return _midnight(now - timedelta(days=words == "yesterday"))
    try:
        if ago := _AGO.fullmatch(words):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.strip())
        # A bare time belongs to the zone's rules of its own day, summer or winter.
        return moment if moment.tzinfo else moment.astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time", "say 7d, 12h, today, yesterday, 2026-11-01 or 2026-11-01T09:30") from None


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time()).astimezone()
