"""Claude Code's settings file as text, with our status line and without.  Pure: no byte changes but those of the one value.

A status line that was there becomes the argument of ours, as it was written, so that taking ours out restores every byte.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from sidecar.errors import SidecarError

_KEY = "statusLine"
_BYTE_ORDER_MARK = "\ufeff"  # what editors on Windows put before a text
_SPACE = re.compile(r"[ \t\r\n]*")
_FIRST_LINE = re.compile(r"\{(\r?\n)([ \t]*)")
_DECODER = json.JSONDecoder()

# One word of a shell's that ends in our name, our verb, and perhaps the other status line in single quotes.
_OURS = re.compile(
    r"(?:'[^']*sidecar(?:\.exe)?'|[^\s';|&]*sidecar(?:\.exe)?) statusline(?: --beside '(?P<other>.*)')?",
    re.DOTALL,
)
# How a single quote stands between single quotes, in a shell's word inside a JSON string.
_QUOTE = "'\\\"'\\\"'"


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member of an object stands in the text: `begin` of its key, `value` and `end` of its value."""

    key: str
    begin: int
    value: int
    end: int


def with_line(text: str, sidecar: str) -> str:
    """`sidecar`: the word that starts us in a shell.  The text itself if our line is in it.  Raises SidecarError."""
    top = _object(text, 0)
    ours = f"{sidecar} statusline"
    there = _last(top, _KEY)
    if there is None:
        line = json.dumps({"type": "command", "command": ours}, ensure_ascii=False)
        begin = text.index("{")
        found = _FIRST_LINE.match(text, begin)
        space = found[1] + (found[2] or "  ") if found else ""
        return f'{text[: begin + 1]}{space}"{_KEY}": {line}{"," if top else ""}{text[begin + 1 :]}'
    command = _command(text, there)
    written = text[command.value + 1 : command.end - 1]
    if _OURS.fullmatch(written):
        return text
    if "u0027" in written.lower():  # an escaped quote would not be seen as one
        written = json.dumps(json.loads(f'"{written}"'), ensure_ascii=False)[1:-1]
    word = json.dumps(ours, ensure_ascii=False)[1:-1]
    return f"{text[: command.value]}\"{word} --beside '{written.replace(chr(39), _QUOTE)}'\"{text[command.end :]}"


def without_line(text: str) -> str:
    """The text itself if our line is not in it.  Raises SidecarError."""
    top = _object(text, 0)
    there = _last(top, _KEY)
    if there is None:
        return text
    command = _command(text, there)
    ours = _OURS.fullmatch(text[command.value + 1 : command.end - 1])
    if ours is None:
        return text
    if ours["other"] is not None:
        return f'{text[: command.value]}"{ours["other"].replace(_QUOTE, chr(39))}"{text[command.end :]}'
    at = top.index(there)
    before = top[at - 1].end if at else text.index("{") + 1
    if at:
        return text[:before] + text[there.end :]
    comma = _skip(text, there.end)
    return text[:before] + text[comma + 1 if text[comma] == "," else there.end :]


def _command(text: str, line: _Member) -> _Member:
    if text[line.value] == "{":
        command = _last(_object(text, line.value), "command")
        if command is not None and text[command.value] == '"':
            return command
    raise SidecarError(f"its {_KEY} is no command; nothing was changed", f"see {_KEY} in Claude Code's documentation")


def _last(members: list[_Member], key: str) -> _Member | None:
    """Of several with this key the last one counts, as in every JSON parser."""
    return next((member for member in reversed(members) if member.key == key), None)


def _object(text: str, at: int) -> list[_Member]:
    """The members of the object that begins there."""
    try:
        at = _skip(text, at + text.startswith(_BYTE_ORDER_MARK, at))
        _, end = _DECODER.raw_decode(text, at)
        if text[at] != "{" or (_skip(text, end) != len(text) and not _is_inside(text, at)):
            raise ValueError
        members = []
        at = _skip(text, at + 1)
        while text[at] == '"':
            key, after = _DECODER.raw_decode(text, at)
            value = _skip(text, _skip(text, after) + 1)
            _, end = _DECODER.raw_decode(text, value)
            members.append(_Member(key, at, value, end))
            at = _skip(text, end)
            at = _skip(text, at + 1) if text[at] == "," else at
    except (ValueError, IndexError, RecursionError):
        raise SidecarError("it is no JSON object; nothing was changed", "mend it by hand first") from None
    return members


def _is_inside(text: str, at: int) -> bool:
    return bool(text[:at].removeprefix(_BYTE_ORDER_MARK).strip())


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
