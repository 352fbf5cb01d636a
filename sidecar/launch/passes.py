"""The pass: what an agent holds instead of a key.

A pass is `sidecar-pass-<payload>.<signature>`: the payload is compact JSON in base64url, the signature HMAC-SHA-256 under
`pass.key` over everything before the dot, prefix included.  Whoever holds the key can make and check one; no daemon, no
database.  Pure: key and time come in.

Standard library only: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

from _hashlib import compare_digest, hmac_digest  # what `hmac` calls; that imports more: 2 ms of every `run`
from binascii import a2b_base64, b2a_base64  # and `base64` imports `re`: 8 ms

from sidecar.launch import lean_json

PREFIX = "sidecar-pass-"
LONGEST = 16 * 1024
LONGEST_LABEL = 256
#: Tags of one request.  Every report reads them again from every row.
MOST_TAGS = 64
CONTROL_SECONDS = 60

_VERSION = 1
_TEXTS = ("gateway", "session", "project", "repo", "branch")
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


class Pass:
    """`scope` is `agent` (may proxy and read its own session) or `control`.  `gateway`, `session` and `tags` are pinned by it;
    `project`, `repo` and `branch` say where it was made.  `expires` in epoch seconds.
    """

    __slots__ = ("branch", "expires", "gateway", "project", "repo", "run", "scope", "session", "tags")

    def __init__(
        self,
        run: str,
        expires: int,
        *,
        scope: str = "agent",
        gateway: str | None = None,
        session: str | None = None,
        tags: tuple[str, ...] = (),
        project: str | None = None,
        repo: str | None = None,
        branch: str | None = None,
    ) -> None:
        self.run = run
        self.scope = scope
        self.gateway = gateway
        self.session = session
        self.tags = tags
        self.project = project
        self.repo = repo
        self.branch = branch
        self.expires = expires

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pass) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Pass(run={self.run!r}, scope={self.scope!r}, gateway={self.gateway!r}, session={self.session!r}, tags={self.tags!r})"


def mint(key: bytes, pass_: Pass) -> str:
    payload: dict[str, object] = {"v": _VERSION, "run": pass_.run, "scope": pass_.scope, "expires": pass_.expires}
    payload |= {name: value for name in _TEXTS if (value := getattr(pass_, name))}
    if pass_.tags:
        payload["tags"] = pass_.tags
    signed = PREFIX + _base64(lean_json.dumps(payload).encode())
    return f"{signed}.{_signature(key, signed)}"


def check(key: bytes, text: str, now: float) -> Pass | None:
    """The pass, or None: whatever is wrong with it, the answer is the same and takes the same comparison."""
    if len(text) > LONGEST or not text.isascii():
        return None
    pass_ = _verified(key, text)
    return pass_ if pass_ is not None and now < pass_.expires else None


def ended(key: bytes, text: str, now: float) -> Pass | None:
    """The pass whose time is over; None for what never was one, or still is."""
    pass_ = _verified(key, text) if len(text) <= LONGEST and text.isascii() else None
    return pass_ if pass_ is not None and now >= pass_.expires else None


def health_proof(key: bytes, nonce: str) -> str:
    """What only the holder of `pass.key` can answer to `nonce`.  Its own domain: it is never the signature of a pass."""
    return hmac_digest(key, b"sidecar-health-" + nonce.encode(), "sha256").hex()


def is_label(text: str) -> bool:
    """Whether a session or a tag may be called so: no control character, 256 characters at most."""
    if len(text) > LONGEST_LABEL:
        return False
    if text.isascii():
        return text.isprintable()
    return not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in text)


def _verified(key: bytes, text: str) -> Pass | None:
    signed, _, signature = text.rpartition(".")
    # The signature is compared as text, so no second spelling of it is accepted either.
    if not compare_digest(_signature(key, signed), signature) or not signed.startswith(PREFIX):
        return None
    try:
        return _read(signed[len(PREFIX) :])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _read(encoded: str) -> Pass:
    """Only ever sees what was signed with the key: by this version, or by another that may know other fields."""
    payload = lean_json.loads(a2b_base64(encoded.encode().translate(_FROM_URL) + b"=" * (-len(encoded) % 4)))
    if not isinstance(payload, dict):
        raise TypeError(encoded)
    texts = {name: payload.get(name) for name in _TEXTS}
    tags = payload.get("tags", [])
    run, scope, expires = payload["run"], payload["scope"], payload["expires"]
    if (
        payload["v"] != _VERSION
        or scope not in ("agent", "control")
        or type(expires) is not int
        or not isinstance(run, str)
        or not isinstance(tags, list)
        or not all(isinstance(tag, str) for tag in tags)
        or not all(value is None or isinstance(value, str) for value in texts.values())
    ):
        raise ValueError(encoded)
    return Pass(run, expires, scope=scope, tags=tuple(tags), **texts)


def _signature(key: bytes, signed: str) -> str:
    return _base64(hmac_digest(key, signed.encode(), "sha256"))


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode()
