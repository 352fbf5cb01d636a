"""Request targets as text: what is asked for, and the address at the gateway.  Nothing is decoded, quoted or normalised."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from sidecar.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

# RFC 9112 section 3.2.1 wants visible ASCII; agents were seen to send nothing else, and gateways refuse the rest.
_VISIBLE = re.compile(r"[!-~]+")
# To a server that decodes the path before it writes it down, a line end begins a header field.
_LINE_END = re.compile("%0[ad]", re.IGNORECASE)


class Kind(StrEnum):
    """What a request is for.  Only `inference` counts in reports."""

    INFERENCE = "inference"
    COUNT = "count"
    OTHER = "other"


#: The paths whose bodies are read whole before they go on, and what a POST to each is for.
WHOLE = {
    "/v1/messages": Kind.INFERENCE,
    "/v1/messages/count_tokens": Kind.COUNT,
    "/v1/chat/completions": Kind.INFERENCE,
    "/v1/responses": Kind.INFERENCE,
    "/responses": Kind.INFERENCE,
}


class Target(NamedTuple):
    """`path` begins with a slash; `query` holds its question mark, or is empty."""

    path: str
    query: str = ""

    @classmethod
    def parse(cls, raw: str) -> Target:
        """The origin-form target of a request line; anything else is refused.

        An absolute-form target (`http://elsewhere/…`) would name another host than the one that was asked, and a fragment never
        travels.
        """
        if not raw.startswith("/"):
            raise Refusal("bad_request", f"the request target {_shown(raw)} is not a path", "send requests to /… of the base URL")
        if "#" in raw or not _VISIBLE.fullmatch(raw):
            raise Refusal("bad_request", f"the request target {_shown(raw)} holds a character that has to be percent-encoded")
        path, mark, query = raw.partition("?")
        if _LINE_END.search(path):
            raise Refusal("bad_request", f"the request target {_shown(raw)} holds an encoded line end")
        return cls(path, mark + query)

    @property
    def is_read_whole(self) -> bool:
        return self.path in WHOLE

    def kind(self, method: str) -> Kind:
        return WHOLE.get(self.path, Kind.OTHER) if method == "POST" else Kind.OTHER

    @property
    def climbs(self) -> bool:
        """True if a server that normalises could read `path` as another one: dot segments or backslashes, encoded ones too."""
        decoded = unquote(unquote(self.path)).replace("\\", "/")
        return "\\" in unquote(self.path) or any(part in {".", ".."} for part in decoded.split("/"))

    def at(self, base_url: str, paths: Mapping[str, str]) -> str:
        """The address at the gateway: base, mapped path, query as it came."""
        return base_url + paths.get(self.path, self.path) + self.query


def _shown(raw: str) -> str:
    """Without the query: that is where clients put keys."""
    raw = raw.partition("?")[0]
    return repr(raw if len(raw) <= 80 else raw[:80] + "…")
