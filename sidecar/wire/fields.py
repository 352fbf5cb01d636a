"""Header fields as ordered pairs: what may be handed on, what must not, and whether a value is fit for the wire.

Names keep their spelling, repeated names all their values, everything its order.  Values are bytes as they came (RFC 9110
section 5.5 lets them hold any octet above 0x7f), and text only where the sidecar itself has to read one.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

Field: TypeAlias = tuple[bytes, bytes]
#: lower-case name -> its values in order
ByName: TypeAlias = dict[bytes, list[bytes]]

#: Fields of one connection, not of the message (RFC 9110 section 7.6.1, RFC 9112).  `Expect` is answered by our own server: handed
#: on, the gateway's 100 would be waited for.  `Host` is the gateway's own name.  `Trailer` promises what is not relayed.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

#: Of replies also: it would advertise the gateway's own HTTP/3 port for the sidecar's origin (RFC 7838).
ONLY_OF_THE_GATEWAY = HOP_BY_HOP | {b"alt-svc"}

_TOKEN = b"!#$%&'*+-.^_`|~" + (string.digits + string.ascii_letters).encode()
_IN_A_VALUE = bytes({*range(256)} - {*range(0x20), 0x7F} | {0x09})
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def end_to_end(fields: Iterable[Field], named: ByName, drop: Collection[bytes]) -> list[Field]:
    """`fields` without those in `drop` (lower case), and without those that a `Connection` field names.  `named` are the same by name."""
    if b"connection" in named:
        listed = {name.strip().lower() for value in named[b"connection"] for name in value.split(b",")}
        # A client cannot make us drop what frames the message: Content-Length named in Connection stays.
        drop = {*drop, *listed - {b"content-length"}}
    if named.keys().isdisjoint(drop):
        return [*fields]
    return [field for field in fields if field[0].lower() not in drop]


def by_name(fields: Iterable[Field]) -> ByName:
    """The same fields, to be asked for by name, lower case."""
    values: ByName = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    return values


def first(named: ByName, name: bytes) -> bytes | None:
    values = named.get(name)
    return values[0] if values else None


def every(named: ByName, name: bytes) -> list[bytes]:
    return named.get(name, [])


def text(value: bytes) -> str:
    """A value to read; an octet that is not UTF-8 becomes U+FFFD."""
    return value.decode("utf-8", "replace")


def is_coded(named: ByName) -> bool:
    """Whether the body is compressed, by its Content-Encoding."""
    return any(value.strip().lower() not in {b"", b"identity"} for value in every(named, b"content-encoding"))


def are_legal(fields: Sequence[Field]) -> bool:
    """True if RFC 9110 section 5 lets these fields on the wire: a token each, and no control octet but tab in a value."""
    names, values = zip(*fields, strict=True) if fields else ((), ())
    return all(names) and not b"".join(names).translate(None, _TOKEN) and not b"".join(values).translate(None, _IN_A_VALUE)


def has_control(value: str) -> bool:
    """True if `value` holds a C0 or C1 control character or a lone surrogate: nothing that a header, a log or a terminal should get."""
    return _CONTROL.search(value) is not None
