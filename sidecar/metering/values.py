"""Single values out of a gateway's JSON, taken only if they are what they should be.  Whatever is wrong is None: unknown."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import cast

import msgspec

#: No exchange has this many tokens or searches; a larger number is a gateway's mistake.
ABSURD = 10**9

#: Long enough for a secret that begins where the ledger cuts a text, with every character of it escaped: it is taken out before that.
TEXT_LIMIT = 16 * 1024

#: A JSON text up to this size is built whole.  Of a larger one only the members below are, and they are looked into the same way:
#: 32 MB of empty objects would otherwise become gigabytes of them.
SMALL = 64 * 1024
#: Members with which a reply says what it is and what it cost; in a large reply all others are stepped over unread.
_MEMBERS = (
    "type",
    "object",
    "id",
    "model",
    "status",
    "code",
    "success",
    "error",
    "errors",
    "stop_reason",
    "service_tier",
    "incomplete_details",
    "usage",
    "usageMetadata",
    "x_groq",
    "delta",
    "content_block",
    "message",
    "response",
    "choices",
    "content",
    "output",
    "item",
    "tool_usage",
    "provider_metadata",
    "action",
    "from",
    "to",
)
#: A large object within a large object is looked into so far: a response in an event, its error, no more.
_DEEPEST = 3
#: Members that are lists when they are large.
_LISTS = frozenset({"choices", "content", "output"})
#: A list with more opening braces than this is not built.  Code in a text has braces, too: some 30,000 of them in 1 MB.
_MOST_BRACES = 100_000

#: What is read of an item of those lists: a choice's reason, what kind of block it is, whom a fallback went to, a search's action.
_ITEM_MEMBERS = ("type", "status", "finish_reason", "usage", "delta", "message", "action", "from", "to")

#: What a JSON text can begin with.
_BEGINNINGS = frozenset(b' \t\r\n{["-0123456789tfnNI')
_MISSING = msgspec.Raw()
_ANYTHING = msgspec.json.Decoder(msgspec.Raw)
_OBJECT = msgspec.json.Decoder(msgspec.defstruct("_Members", [(name, msgspec.Raw, _MISSING) for name in _MEMBERS], gc=False))
_ITEMS = msgspec.json.Decoder(list[msgspec.defstruct("_Item", [(name, msgspec.Raw, _MISSING) for name in _ITEM_MEMBERS], gc=False)])  # type: ignore[misc]

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_PLACE = re.compile(r"\(byte (\d+)\)")


class NotJSON(ValueError):
    """The bytes are no JSON text.  `cut_short`: they are the beginning of an object or array that never ends."""

    def __init__(self, *, cut_short: bool) -> None:
        super().__init__("not JSON")
        self.cut_short = cut_short


def decode(data: bytes | bytearray) -> object:
    """The value of a JSON text; of a large object those members that a meter reads.  Raises NotJSON.

    Invalid UTF-8 and halves of surrogate pairs are tolerated: they occur inside text that is not needed here.  The time taken grows
    with the size of `data` and with nothing else; what is built stays below a few megabytes.
    """
    if not data[:1] or data[0] not in _BEGINNINGS:
        raise NotJSON(cut_short=False)
    try:
        return _built(data)
    except RecursionError:
        raise NotJSON(cut_short=False) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    mended = _SURROGATE.sub(rb"\\ufffd", data).decode("utf-8", "replace").encode()
    try:
        return _built(mended)
    except RecursionError:
        raise NotJSON(cut_short=False) from None
    except msgspec.MsgspecError as error:
        if len(mended) <= SMALL:
            with suppress(ValueError, RecursionError):
                return cast("object", json.loads(mended))  # knows numbers beyond all bounds, and NaN
        raise NotJSON(cut_short=_is_cut_short(mended, error)) from None


def _built(data: bytes | bytearray | msgspec.Raw, depth: int = 0) -> object:
    if memoryview(data).nbytes <= SMALL:
        return msgspec.json.decode(data)
    try:
        members = _OBJECT.decode(data)
    except msgspec.ValidationError:  # no object
        _ANYTHING.decode(data)
        return None
    return {name: _member(name, raw, depth + 1) for name in _MEMBERS if (raw := getattr(members, name)) is not _MISSING}


def _member(name: str, raw: msgspec.Raw, depth: int) -> object:
    if memoryview(raw).nbytes <= SMALL:
        return _built(raw)
    if depth > _DEEPEST:
        return None
    if name not in _LISTS:
        return _built(raw, depth)
    if bytes(raw).count(b"{") > _MOST_BRACES:
        return None
    try:
        items = _ITEMS.decode(raw)
    except msgspec.ValidationError:
        return None
    return [{each: _built(raw, depth + 1) for each in _ITEM_MEMBERS if (raw := getattr(item, each)) is not _MISSING} for item in items]


def _is_cut_short(data: bytes, error: Exception) -> bool:
    """Whether what is wrong is that `data` ends; msgspec says so, or names the place behind the last byte."""
    what = str(error)
    if not data.lstrip().startswith((b"{", b"[")) or "trailing characters" in what:
        return False
    place = _PLACE.search(what)
    return what == "Input data was truncated" or (place is not None and int(place[1]) >= len(data))


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
