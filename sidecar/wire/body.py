"""Request bodies: read the few top-level fields the sidecar needs, and replace one JSON string without touching another byte.

Nothing here decodes and writes again.  To read, a validating parser steps over everything else; to replace, the body is walked from
member to member to where the string stands.  A body that is not one valid JSON object (RFC 8259, UTF-8) passes as it is.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: A body as it was received; nobody changes it.
Body: TypeAlias = bytes | bytearray
#: name, start and end of its value in the body
Extent: TypeAlias = tuple[str, int, int]


_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


Members: TypeAlias = dict[str, msgspec.Raw]


class Peek(NamedTuple):
    """What one request body says of itself.  `members` are those of its top level, where one pass could tell them apart."""

    model: str | None = None
    stream: bool | None = None
    user_id: str | None = None
    members: Members | None = None


def peek(body: Body) -> Peek:
    """Read `model`, `stream` and `metadata.user_id`.  Anything that is not one valid JSON object gives an empty `Peek`."""
    members: Members | None
    values: Mapping[str, Body | msgspec.Raw]
    try:
        values = members = _RAW.decode(body)
    except (ValueError, RecursionError, msgspec.DecodeError):
        # Lone surrogates are valid JSON, which JSON.stringify writes, and which msgspec refuses.
        members, values = None, {name: body[start:end] for name, start, end in top_level(body) or ()}
    model, stream, metadata = (_decoded(values.get(name)) for name in ("model", "stream", "metadata"))
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    return Peek(
        model=model if isinstance(model, str) else None,
        stream=stream if isinstance(stream, bool) else None,
        user_id=user_id if isinstance(user_id, str) else None,
        members=members,
    )


def splice(body: Body, model: str, members: Members | None = None) -> bytes | None:
    """`body` with its top-level `model` string replaced by `model`; every other byte stays.  `members` are what `peek` found.

    None where that string cannot be told for certain: there are two of them, or `body` is not one valid JSON object.
    """
    extents = [(start, end) for name, start, end in top_level(body, members) or () if name == "model"]
    if len(extents) != 1:
        return None
    start, end = extents[0]
    return b"".join((body[:start], json.dumps(model, ensure_ascii=False).encode(), body[end:]))


def top_level(body: Body, members: Members | None = None) -> list[Extent] | None:
    """Each member of the one JSON object that `body` is, in order, repeated names included; None if it is anything else."""
    try:
        body.decode()
        return list(_walk_fast(body, _RAW.decode(body) if members is None else members))
    except (ValueError, RecursionError, msgspec.DecodeError):
        pass
    # Repeated names, and lone surrogates, which are valid JSON and which JSON.stringify writes: rare, so five times slower is fine.
    try:
        body.decode()
        return list(_walk_exactly(body))
    except (ValueError, RecursionError):
        return None


def _walk_fast(body: Body, members: Members) -> Iterator[Extent]:
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
        if not body.startswith(raw, start):  # nothing of 1 MB is copied for it
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


def _after(body: Body, at: int, sign: bytes) -> int:
    """The offset of the first thing after `sign`, which has to stand at `at`, white space around it allowed."""
    at = _SPACE.match(body, at).end()  # type: ignore[union-attr]  # it matches everywhere
    if body[at : at + 1] != sign:
        raise ValueError
    return _SPACE.match(body, at + 1).end()  # type: ignore[union-attr]


def _decoded(value: Body | msgspec.Raw | None) -> object:
    if value is None:
        return None
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
