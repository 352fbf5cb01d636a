"""Looks for a gateway's own key in its error replies: some quote it back.

The reply reaches the agent as it is.  But what it says must not be written down, and the key's owner should know that a transcript
may now hold it.  Pure; works on the copy, in whatever slices and content coding it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.wire.coding import Decoder, codings

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A shorter value is no key, and half of all replies would contain it.
SHORTEST_SECRET = 6

#: Decoded bytes of an error that are looked through.
LIMIT = 4 * 1024 * 1024


class Echo:
    """Searches one reply.  `found` is true once one of `secrets` has been seen."""

    def __init__(self, secrets: Iterable[str], content_encoding: str | None) -> None:
        self.found = False
        self._secrets = tuple(secret.encode() for secret in secrets if len(secret) >= SHORTEST_SECRET)
        self._border = max(map(len, self._secrets), default=1) - 1
        self._tail = b""
        names = codings(content_encoding)
        self._decoder = Decoder(names, LIMIT) if names else None

    def field(self, value: bytes) -> None:
        self.found = self.found or any(secret in value for secret in self._secrets)

    def feed(self, chunk: bytes) -> None:
        if self.found or not self._secrets:
            return
        try:
            for piece in (chunk,) if self._decoder is None else self._decoder.feed(chunk):
                self.field(self._tail + piece)
                self._tail = (self._tail + piece)[-self._border :]
        except Exception:  # noqa: BLE001 - whatever is wrong with the coding, the agent's stream goes on
            self._secrets = ()
