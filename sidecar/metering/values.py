"""Single values out of a gateway's JSON, taken only if they are what they should be.  Whatever is wrong is None: unknown."""

from __future__ import annotations

import json
import math
import re

import msgspec

#: No exchange has this many tokens or searches; a larger number is a gateway's mistake.
ABSURD = 10**9

#: Long enough for a secret that begins where the ledger cuts a text, with every character of it escaped: it is taken out before that.
TEXT_LIMIT = 16 * 1024

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NotJSON(ValueError):
    """The bytes are no JSON text.  `cut_short`: they are the beginning of an object or array that never ends."""

    def __init__(self, *, cut_short: bool) -> None:
        super().__init__("not JSON")
        self.cut_short = cut_short


def decode(data: bytes) -> object:
    """Any JSON text.  Invalid UTF-8 and lone surrogates are tolerated: they occur inside text that is not needed here."""
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise NotJSON(cut_short=False) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise NotJSON(cut_short=_cut_short(data)) from None


def _cut_short(data: bytes) -> bool:
    bare = _STRING.sub(b"", data)
    if not bare.lstrip().startswith((b"{", b"[")):
        return False
    return b'"' in bare or bare.count(b"{") + bare.count(b"[") > bare.count(b"}") + bare.count(b"]")


def member(value: object, name: str) -> object:
    """`value[name]` of an object, else None."""
    return value.get(name) if isinstance(value, dict) else None


def count(value: object) -> int | None:
    """A whole number of tokens or requests: not negative, fractional, absurd, nor true or false."""
    if type(value) is int:
        return value if 0 <= value < ABSURD else None
    if type(value) is not float or not 0 <= value < ABSURD:
        return None
    return int(value) if value == int(value) else None


def text(value: object) -> str | None:
    """A string that says something, no longer than a database and a table like it."""
    if not isinstance(value, str) or not value:
        return None
    if value.isascii():
        return value[:TEXT_LIMIT]
    return value[:TEXT_LIMIT].encode("utf-8", "replace").decode()


def dollars(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < ABSURD:
        return None
    return float(value) if math.isfinite(value) else None
