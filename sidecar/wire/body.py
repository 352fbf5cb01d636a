"""Request bodies: read the few top-level fields the sidecar needs, and replace one JSON string without touching another byte.

Nothing here decodes and writes again.  To read, a validating parser steps over everything else, or the two ends of a body are enough;
to replace, where the string stands is found the same way.  A body that is not one valid JSON object (RFC 8259, UTF-8) passes as it is;
of a large one its ends are the proof, if they are as Claude Code writes them.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: A body as it was received; nobody changes it.
Body: TypeAlias = bytes | bytearray
#: A body as it is sent: one piece behind the other.
Pieces: TypeAlias = tuple[bytes | bytearray | memoryview, ...]
#: name, start and end of its value in the body
Extent: TypeAlias = tuple[str, int, int]


#: A body of this size takes longer to read (0.7 µs a KiB) than its two ends.
LARGE = 32 * 1024
_UTF8_PIECE = 64 * 1024

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
#: A member whose value is a string, a number, a word, or an object that holds nothing but those.
_FLAT_MEMBER = re.compile(
    rb'[ \t\n\r]*+(%b)[ \t\n\r]*+:[ \t\n\r]*+(%b|true|false|null|-?[0-9][0-9.eE+-]*+|\{(?:[^"{}\[\]]++|%b)*+\})[ \t\n\r]*+,'
    % ((_STRING.pattern,) * 3),
    re.DOTALL,
)
#: As the last member a key must follow a comma: a quotation mark there is neither escaped nor the end of a string.
_STREAM_IS_LAST = re.compile(rb',[ \t\n\r]*+"stream"[ \t\n\r]*+:[ \t\n\r]*+(true|false)[ \t\n\r]*+\}[ \t\n\r]*+\Z')
_LAST_BYTES = 64


class _Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


class _Known(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    metadata: _Metadata | None = None


_KNOWN = msgspec.json.Decoder(_Known)


class Peek(NamedTuple):
    """What one request body says of itself."""

    model: str | None = None
    stream: bool | None = None
    user_id: str | None = None


def peek(body: Body) -> Peek:
    """Read `model`, `stream` and `metadata.user_id`.  Anything that is not one valid JSON object gives an empty `Peek`."""
    try:
        known = _KNOWN.decode(body)
    except (ValueError, RecursionError, msgspec.DecodeError):
        # Values of another type; and lone surrogates, which are valid JSON, which JSON.stringify writes, and which msgspec refuses.
        values = {name: _decoded(body[start:end]) for name, start, end in top_level(body) or () if name in _Known.__struct_fields__}
        return _seen(values)
    return Peek(known.model, known.stream, None if known.metadata is None else known.metadata.user_id)


def peek_at_ends(body: Body) -> Peek | None:
    """What `peek` reads, of a body whose ends tell `model` and `stream`.  None where they do not, and it has to be read as a whole."""
    ends = _ends(body)
    return None if ends is None else ends.seen


class _Ends(NamedTuple):
    members: list[Extent]
    seen: Peek


def _ends(body: Body) -> _Ends | None:
    """The flat members that `body` begins with, `model` among them, and `stream`, which is one of them or the last member of all: so
    Claude Code (2.1.197) writes them.  None for any other body.

    What lies between is not looked at: it is taken for valid, and for free of a second `model`.
    """
    at = body.find(b"{") + 1
    if not at or body[: at - 1].strip(b" \t\n\r"):
        return None
    members: list[Extent] = []
    while member := _FLAT_MEMBER.match(body, at, LARGE):
        members.append((str(_decoded(member[1])), *member.span(2)))
        at = member.end()
    if last := _STREAM_IS_LAST.search(body, max(at - 1, len(body) - _LAST_BYTES)):
        members.append(("stream", *last.span(1)))
    seen = _seen({name: _decoded(body[start:end]) for name, start, end in members})
    return None if seen.model is None or seen.stream is None else _Ends(members, seen)


def _seen(values: Mapping[str, object]) -> Peek:
    model, stream, metadata = map(values.get, ("model", "stream", "metadata"))
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    return Peek(
        model=model if isinstance(model, str) else None,
        stream=stream if isinstance(stream, bool) else None,
        user_id=user_id if isinstance(user_id, str) else None,
    )


def splice(body: Body, model: str) -> Pieces | None:
    """`body` with its top-level `model` string replaced by `model`; every other byte stays.

    None where that string cannot be told for certain: there are two of them, or `body` is not one valid JSON object.  Of a large body
    that begins and ends as Claude Code's do, what lies between is not searched for either fault.  That would take as long as all the rest
    of the way (0.7 to 1.5 ms a MB), and nobody would be better off: an invalid body is refused whatever its model, and of two members
    with one name most readers report the last (RFC 8259 section 4), which stays as it is.
    """
    ends = _ends(body) if len(body) >= LARGE else None
    members = top_level(body) or () if ends is None else ends.members
    extents = [(start, end) for name, start, end in members if name == "model"]
    if len(extents) != 1:
        return None
    start, end = extents[0]
    whole = memoryview(body)  # nothing of 1 MB is copied for it
    return whole[:start], json.dumps(model, ensure_ascii=False).encode(), whole[end:]


def top_level(body: Body) -> list[Extent] | None:
    """Each member of the one JSON object that `body` is, in order, repeated names included; None if it is anything else."""
    if not _is_utf8(body):
        return None
    try:
        return list(_walk_fast(body, _RAW.decode(body)))
    except (ValueError, RecursionError, msgspec.DecodeError):
        pass
    # Repeated names, and lone surrogates, which are valid JSON and which JSON.stringify writes: rare, so five times slower is fine.
    try:
        return list(_walk_exactly(body))
    except (ValueError, RecursionError):
        return None


def _walk_fast(body: Body, members: dict[str, msgspec.Raw]) -> Iterator[Extent]:
    """C has validated and measured every value: step from member to member.  ValueError where that cannot tell (repeated names)."""
    at = _after(body, 0, b"{")
    for index, (name, value) in enumerate(members.items()):
        if index:
            at = _after(body, at, b",")
        key = _STRING.match(body, at)
        if key is None or (key[0][1:-1] != name.encode() and json.loads(key[0]) != name):
            raise ValueError
        start = _after(body, key.end(), b":")
        raw = memoryview(value)
        end = start + raw.nbytes
        if not body.startswith(raw, start):
            raise ValueError
        yield name, start, end
        at = _SPACE.match(body, end).end()  # type: ignore[union-attr]  # it matches everywhere
    _after(body, at, b"}")


def _walk_exactly(body: Body) -> Iterator[Extent]:
    # As latin-1 every byte is one character, so that offsets in the text are offsets in the body; JSON's own signs are all ASCII.
    text = body.decode("latin-1")
    decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
    at = _after(body, 0, b"{")
    if body[at : at + 1] == b"}":
        at += 1
    else:
        while True:
            key, after_key = decode(text, at)
            if not isinstance(key, str):
                raise ValueError
            start = _after(body, after_key, b":")
            _, end = decode(text, start)
            yield key, start, end
            at = _SPACE.match(body, end).end()  # type: ignore[union-attr]  # it matches everywhere
            if body[at : at + 1] != b",":
                break
            at = _after(body, at, b",")
        if body[at : at + 1] != b"}":
            raise ValueError
        at += 1
    if _SPACE.fullmatch(body, at) is None:
        raise ValueError


def _is_utf8(body: Body) -> bool:
    """In pieces: the text of 1 MB takes longer to make than to check."""
    if body.isascii():
        return True
    decode = codecs.getincrementaldecoder("utf-8")().decode
    whole = memoryview(body)
    try:
        for at in range(0, len(body), _UTF8_PIECE):
            decode(whole[at : at + _UTF8_PIECE])
        decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _after(body: Body, at: int, sign: bytes) -> int:
    """The offset of the first thing after `sign`, which has to stand at `at`, white space around it allowed."""
    at = _SPACE.match(body, at).end()  # type: ignore[union-attr]  # it matches everywhere
    if body[at : at + 1] != sign:
        raise ValueError
    return _SPACE.match(body, at + 1).end()  # type: ignore[union-attr]


def _decoded(value: Body) -> object:
    try:
        return msgspec.json.decode(value)
    except (ValueError, RecursionError, msgspec.DecodeError):
        pass
    try:
        return cast("object", json.loads(bytes(value)))
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
