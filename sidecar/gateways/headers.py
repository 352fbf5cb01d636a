"""The header policy: which of the agent's fields go on to a gateway, and which are set in their place.  Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidecar.errors import Refusal
from sidecar.wire.fields import HOP_BY_HOP, end_to_end, is_legal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.gateways.gateway import Gateway
    from sidecar.wire.fields import Field

_CLIENT_CREDENTIALS = frozenset({b"authorization", b"x-api-key"})
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def outgoing(
    fields: Sequence[Field], gateway: Gateway, key: str, values: Mapping[str, str], secrets: Mapping[str, str], length: int | None
) -> list[Field]:
    """The agent's own fields as the gateway gets them, then the ones the gateway wants.

    `values` fill the templates, `secrets` are those of `gateway.headers` by header name, `length` is the body's where it is known.
    A replace gateway gets none of the client's credentials, a beside gateway all that are not a pass or another gateway's.
    """
    scheme = f"{gateway.auth.scheme} " if gateway.auth.scheme else ""
    injected = [(gateway.auth.header, scheme + key)]
    for name, template in gateway.headers:
        value = _PLACEHOLDER.sub(lambda match: values[match[1]], template) if isinstance(template, str) else secrets[name]
        if value:
            injected.append((name, value))
    ours = [_field(name, value) for name, value in injected]

    credentials = {name.encode() for name in gateway.credential_headers} | _CLIENT_CREDENTIALS
    if gateway.beside:
        credentials -= _CLIENT_CREDENTIALS
    drop = HOP_BY_HOP | credentials | {name.lower() for name, _ in ours}
    kept = end_to_end(fields, drop)
    if length is not None:
        kept = _with_length(kept, length)
    return kept + ours


def _field(name: str, value: str) -> Field:
    field = (name.encode("ascii"), value.encode())
    if not is_legal(field):
        raise Refusal("bad_header", f"the value for {name} holds a control character", "see `headers:` in the configuration")
    return field


def _with_length(fields: list[Field], length: int) -> list[Field]:
    """`fields` with the one Content-Length that fits, where the agent had its own."""
    size = b"%d" % length
    if not any(name.lower() == b"content-length" for name, _ in fields):
        return [*fields, (b"Content-Length", size)]
    return [(name, size if name.lower() == b"content-length" else value) for name, value in fields]
