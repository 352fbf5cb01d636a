"""JSON through the C half of the standard library's `json` alone, for commands that start often.

To import `json` is to import `re` and `enum`, which that half does not need: 8 ms, where all of `sidecar run` takes 18.
Values and texts are those of `json.loads` and of a compact `json.dumps`.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _AsUsual:
    """What the scanner asks for: how numbers are made; None, the usual way, for whatever else it may come to ask for."""

    strict = True
    parse_float = float
    parse_int = int
    parse_constant = float

    def __getattr__(self, name: str) -> None:
        return None


_scan: Any = make_scanner(_AsUsual())  # type: ignore[arg-type]


def loads(data: bytes) -> Any:
    """Raises ValueError."""
    try:
        text = data.decode().strip(" \t\n\r")
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (StopIteration, ValueError, SystemError):  # the last is Python 3.11's, where `json` is not there to give its own error
        pass
    import json  # noqa: PLC0415 - it says what is wrong, and knows other encodings than UTF-8

    return json.loads(data)


def dumps(value: object) -> str:
    """`value` is made of dicts with text keys, lists, tuples, text, whole numbers, booleans and None.  Raises TypeError."""
    match value:
        case str():
            return encode_basestring_ascii(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case dict():
            return "{" + ",".join(f"{encode_basestring_ascii(key)}:{dumps(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(dumps, value)) + "]"
    raise TypeError(type(value).__name__)
