"""Header fields as ordered pairs: what may be handed on, what must not, and whether a value is fit for the wire.

Names keep their spelling, repeated names all their values, everything its order.  Values are bytes as they came (RFC 9110
section 5.5 lets them hold any octet above 0x7f), and text only where the sidecar itself has to read one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

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

_ILLEGAL_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def end_to_end(fields: Iterable[Field], drop: Collection[bytes]) -> list[Field]:
    """`fields` without those named (lower case) in `drop`, and without those that a `Connection` field names."""
    lowered = [(name.lower(), name, value) for name, value in fields]
    named = {name.strip().lower() for lower, _, value in lowered if lower == b"connection" for name in value.split(b",")}
    # A client cannot make us drop what frames the message: Content-Length named in Connection stays.
    named.discard(b"content-length")
    return [(name, value) for lower, name, value in lowered if lower not in drop and lower not in named]


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


def is_legal(field: Field) -> bool:
    """True if RFC 9110 section 5 lets this field on the wire: a token, and no control octet but tab in the value."""
    name, value = field
    return _TOKEN.fullmatch(name) is not None and _ILLEGAL_VALUE.search(value) is None


def has_control(value: str) -> bool:
    """True if `value` holds a C0 or C1 control character or a lone surrogate: nothing that a header, a log or a terminal should get."""
    return _CONTROL.search(value) is not None
