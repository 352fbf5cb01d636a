"""Request targets as text: what is asked for, and the address at the gateway.

A target goes out as it came.  To decide what it asks for, whether a gateway may be asked for it and which budget it is charged to, it
is read as servers read it: the same path can be spelled in many ways.
"""

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
_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
# To one that decodes the path before it takes it apart, the path ends here.
_END_OF_PATH = re.compile(r"[?#\0]")


class Kind(StrEnum):
    """What a request is for.  Only `inference` counts in reports."""

    INFERENCE = "inference"
    COUNT = "count"
    OTHER = "other"


class Protocol(StrEnum):
    """The wire formats whose replies are metered."""

    MESSAGES = "messages"
    CHAT = "chat"
    RESPONSES = "responses"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"


class Call(NamedTuple):
    """What a request asks for.  `protocol` None: a model call whose reply is not metered, or no model call.

    The body of a call that `is_read_whole` is read before it goes on: for its model, its session and whether it wants a stream.
    """

    kind: Kind = Kind.OTHER
    protocol: Protocol | None = None
    is_read_whole: bool = False


_NO_CALL = Call()
_COUNT = Call(Kind.COUNT, None, is_read_whole=True)
_UNMETERED = Call(Kind.INFERENCE)

#: What the path of a POST ends in, the longest ending first.  Base URLs differ in what they put before it: `/v1`, `/api/v1`, nothing.
_ENDINGS: dict[tuple[str, ...], Call] = {
    # Anthropic.  The tokens of a batch are in its results, hours later; `complete` is older than Messages.
    ("messages",): Call(Kind.INFERENCE, Protocol.MESSAGES, is_read_whole=True),
    ("messages", "count_tokens"): _COUNT,
    ("messages", "batches"): _UNMETERED,
    ("complete",): _UNMETERED,
    # OpenAI and everybody who is compatible with it.
    ("chat", "completions"): Call(Kind.INFERENCE, Protocol.CHAT, is_read_whole=True),
    ("responses",): Call(Kind.INFERENCE, Protocol.RESPONSES, is_read_whole=True),
    ("responses", "compact"): Call(Kind.INFERENCE, Protocol.RESPONSES, is_read_whole=True),
    ("responses", "input_tokens"): _COUNT,
    ("completions",): Call(Kind.INFERENCE, Protocol.COMPLETIONS, is_read_whole=True),
    ("embeddings",): Call(Kind.INFERENCE, Protocol.EMBEDDINGS, is_read_whole=True),
    ("batches",): _UNMETERED,
    ("images", "generations"): _UNMETERED,
    ("images", "edits"): _UNMETERED,
    ("images", "variations"): _UNMETERED,
    ("audio", "speech"): _UNMETERED,
    ("audio", "transcriptions"): _UNMETERED,
    ("audio", "translations"): _UNMETERED,
    ("videos",): _UNMETERED,
    ("moderations",): _UNMETERED,
    ("rerank",): _UNMETERED,
    # Other vendors' own: video, Mistral's and Google's, Cohere's.
    ("video", "generations"): _UNMETERED,
    ("ocr",): _UNMETERED,
    ("interactions",): _UNMETERED,
    ("v2", "chat"): _UNMETERED,
    ("embed",): _UNMETERED,
    # Bedrock's own paths, and Ollama's.
    ("async-invoke",): _UNMETERED,
    ("invoke",): _UNMETERED,
    ("invoke-with-response-stream",): _UNMETERED,
    ("converse",): _UNMETERED,
    ("converse-stream",): _UNMETERED,
    ("api", "chat"): _UNMETERED,
    ("api", "generate"): _UNMETERED,
}
#: What follows the colon in the last segment of Google's paths: `/v1beta/models/gemini-3-pro:generateContent`.
_METHODS = {
    "counttokens": Call(Kind.COUNT),
    **dict.fromkeys(
        (
            *("generatecontent", "streamgeneratecontent", "batchgeneratecontent"),
            *("embedcontent", "batchembedcontents", "asyncbatchembedcontent"),
            *("predict", "predictlongrunning", "rawpredict", "streamrawpredict"),
        ),
        _UNMETERED,
    ),
}
#: OpenAI's threads hold messages, and to add one is no model call.
_NOT_BELOW = {"messages": "threads"}
_LONGEST_ENDING = max(map(len, _ENDINGS))
#: Percent-encoding that is undone again and again names nothing that a server would find.
_MOST_DECODINGS = 3


def call_of(method: str, path: str) -> Call:
    """What a request with this method and path asks for, however the path is spelled.

    Decided by what the path ends in after `folded` has read it as servers do.
    """
    segments = [segment.strip().lower() for segment in folded(path).rstrip("/").split("/")]
    last = segments[-1]
    if method != "POST" or _NOT_BELOW.get(last) in segments:
        return _NO_CALL
    if (call := _METHODS.get(last.rpartition(":")[2])) is not None and ":" in last:
        return call
    if last == "runs" and "threads" in segments:
        return _UNMETERED
    endings = (tuple(segments[-length:]) for length in range(_LONGEST_ENDING, 0, -1))
    return next((_ENDINGS[ending] for ending in endings if ending in _ENDINGS), _NO_CALL)


def folded(path: str) -> str:
    """The path as the most lenient server reads it: percent-encoding undone, backslashes turned, parameters and an encoded query
    dropped, repeated slashes and dot segments resolved.
    """
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    path = _END_OF_PATH.split(path, maxsplit=1)[0]
    kept: list[str] = []
    for segment in path.replace("\\", "/").split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            if kept:
                kept.pop()
        elif name not in {"", "."}:
            kept.append(name)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


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
    def is_ambiguous(self) -> bool:
        """Whether servers read the path in different ways: dot segments, backslashes, parameters; an encoded slash, percent sign or end."""
        decoded = unquote(self.path)
        if any(sign in decoded for sign in ("\\", ";", "%")) or _END_OF_PATH.search(decoded) or _ENCODED_SLASH.search(self.path):
            return True
        return any(part in {".", ".."} for part in decoded.split("/"))

    @property
    def usual(self) -> str:
        """The path in its usual spelling, of one that is not ambiguous: single slashes, nothing encoded that need not be, no slash at the end."""
        return folded(self.path).rstrip("/") or "/"

    def at(self, base_url: str, paths: Mapping[str, str]) -> str:
        """The address at the gateway: base, mapped path, query as it came.  Another spelling of a mapped path is mapped, too."""
        if not paths:
            return base_url + self.path + self.query
        mapped = paths.get(self.path) or next((to for path, to in paths.items() if Target(path).usual == self.usual), self.path)
        return base_url + mapped + self.query


def _shown(raw: str) -> str:
    """Without the query: that is where clients put keys."""
    raw = raw.partition("?")[0]
    return repr(raw if len(raw) <= 80 else raw[:80] + "…")
