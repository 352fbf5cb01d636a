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


class Outgoing:
    """The fields of requests with one head, as a gateway gets them: the agent's own, then those that the gateway wants.

    `named` are the agent's by name, `values` fill the gateway's templates.  A replace gateway gets none of the client's credentials, a
    beside gateway all that are not a pass or another gateway's.  No secret is kept here.
    """

    def __init__(self, fields: Sequence[Field], named: ByName, gateway: Gateway, values: Mapping[str, str]) -> None:
        self._auth = gateway.auth
        #: Header name and value; None is a secret, which `filled` gets.
        self._ours: list[tuple[str, str | None]] = []
        for name, template in gateway.headers:
            value = _PLACEHOLDER.sub(lambda match: values[match[1]], template) if isinstance(template, str) else None
            if value != "":
                self._ours.append((name, value))
        set_here = {name.encode().lower() for name in (gateway.auth.header, *(name for name, _ in self._ours))}
        self._kept = end_to_end(fields, named, _withheld(gateway.credential_headers, gateway.beside) | set_here)
        self._length_at = next((at for at, (name, _) in enumerate(self._kept) if name.lower() == b"content-length"), None)

    def filled(self, key: str, secrets: Mapping[str, str], length: int | None) -> list[Field]:
        """Return the fields of one request.  `key` is the gateway's, `secrets` are those of its headers by name, and `length` is the body's;
        None leaves the agent's own framing.  Raises `Refusal` (`bad_header`).
        """
        kept = self._kept
        if length is not None:
            kept = kept.copy()
            if self._length_at is None:
                kept.append((b"Content-Length", b"%d" % length))
            else:
                kept[self._length_at] = (kept[self._length_at][0], b"%d" % length)
        auth = self._auth
        ours = [(auth.header.encode(), (f"{auth.scheme} {key}" if auth.scheme else key).encode())]
        ours += [(name.encode(), (secrets[name] if value is None else value).encode()) for name, value in self._ours]
        if not are_legal(ours):
            name = next(name for name, value in ours if not are_legal([(name, value)])).decode()
            raise Refusal("bad_header", f"the value for {name} holds a control character", "see `headers:` in the configuration")
        return kept + ours


@lru_cache
def _withheld(credential_headers: frozenset[str], beside: bool) -> frozenset[bytes]:
    credentials = {name.encode() for name in credential_headers}
    return HOP_BY_HOP | (credentials - _CLIENT_CREDENTIALS if beside else credentials | _CLIENT_CREDENTIALS)
