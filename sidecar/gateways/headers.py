"""The header policy: which of the agent's fields go on to a gateway, and which are set in their place.  Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from sidecar.errors import Refusal
from sidecar.wire.fields import HOP_BY_HOP, are_legal, end_to_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.gateways.gateway import Gateway
    from sidecar.wire.fields import ByName, Field

_CLIENT_CREDENTIALS = frozenset({b"authorization", b"x-api-key"})
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def outgoing(
    fields: Sequence[Field],
    named: ByName,
    gateway: Gateway,
    key: str,
    values: Mapping[str, str],
    secrets: Mapping[str, str],
    length: int | None,
) -> list[Field]:
    """The agent's own fields as the gateway gets them, then the ones the gateway wants.

    `named` are the agent's by name, `values` fill the templates, `secrets` are those of `gateway.headers` by header name, `length` is
    the body's where it is known.  A replace gateway gets none of the client's credentials, a beside gateway all that are not a pass
    or another gateway's.
    """
    ours = [(gateway.auth.header.encode(), (f"{gateway.auth.scheme} {key}" if gateway.auth.scheme else key).encode())]
    for name, template in gateway.headers:
        value = _PLACEHOLDER.sub(lambda match: values[match[1]], template) if isinstance(template, str) else secrets[name]
        if value:
            ours.append((name.encode(), value.encode()))
    if not are_legal(ours):
        name = next(name for name, value in ours if not are_legal([(name, value)])).decode()
        raise Refusal("bad_header", f"the value for {name} holds a control character", "see `headers:` in the configuration")

    kept = end_to_end(fields, named, {*_withheld(gateway.credential_headers, gateway.beside), *(name.lower() for name, _ in ours)})
    if length is not None and named.get(b"content-length") != [b"%d" % length]:
        kept = _with_length(kept, length)
    return kept + ours


@lru_cache
def _withheld(credential_headers: frozenset[str], beside: bool) -> frozenset[bytes]:
    credentials = {name.encode() for name in credential_headers}
    return HOP_BY_HOP | (credentials - _CLIENT_CREDENTIALS if beside else credentials | _CLIENT_CREDENTIALS)


def _with_length(fields: list[Field], length: int) -> list[Field]:
    """`fields` with the one Content-Length that fits, where the agent had its own."""
    size = b"%d" % length
    if not any(name.lower() == b"content-length" for name, _ in fields):
        return [*fields, (b"Content-Length", size)]
    return [(name, size if name.lower() == b"content-length" else value) for name, value in fields]
