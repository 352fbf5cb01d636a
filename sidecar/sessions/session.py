"""Who is asking: the pass, what the agent says of itself in headers and body, and the sidecar's own headers, in that order of trust.

Pure.  What a pass pins, nothing else changes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import Refusal
from sidecar.launch.passes import LONGEST_LABEL, MOST_TAGS, PREFIX, is_label
from sidecar.wire.fields import every, first, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecar.launch.passes import Pass
    from sidecar.wire.fields import ByName, Field

#: The fields in which agents send their session, the most reliable first: Claude Code, Codex (two spellings), opencode (three).
SESSION_FIELDS = (
    b"x-claude-code-session-id",
    b"session-id",
    b"session_id",
    b"x-session-id",
    b"x-opencode-session",
    b"x-session-affinity",
)

_SESSION_FIELDS = (b"x-sidecar-session", *SESSION_FIELDS)
# Claude Code before it wrote JSON there: user_<hash>_account_<uuid>_session_<uuid>.
_OLD_USER_ID = re.compile(r"_session_([0-9A-Za-z-]+)\Z")
#: The fields that may hold a pass.  The first value that looks like one decides.
PASS_FIELDS = (b"x-sidecar-pass", b"authorization", b"x-api-key")
_PASS_PREFIX = PREFIX.encode()
_BEARER = re.compile(rb"bearer +", re.IGNORECASE)

_PRODUCT = re.compile(r"[^\s/(]{1,64}")


class Caller(NamedTuple):
    """Who sent a request.  `gateway` is the one it asks for, None for the active one; `is_pinned` is true if the pass names it."""

    session: str
    run: str
    agent: str | None
    parent_agent: str | None
    tags: tuple[str, ...]
    gateway: str | None
    is_pinned: bool
    project: str | None
    repo: str | None
    branch: str | None
    client: str | None
    retry_count: int | None


def find_pass(named: ByName) -> str | None:
    """The first text that looks like a pass, in the order of `PASS_FIELDS` and, within one field, of its values.

    It decides alone: a bad pass is not rescued by a good one behind it.
    """
    for name in PASS_FIELDS:
        for value in named.get(name, ()):
            if found := _pass_in(name, value):
                return found
    return None


def for_the_gateway(fields: Iterable[Field]) -> list[Field]:
    """The fields without those meant for the sidecar: every pass and every `x-sidecar-*`."""
    return [
        (name, value)
        for name, value in fields
        if not (lower := name.lower()).startswith(b"x-sidecar-") and not (lower in PASS_FIELDS and _pass_in(lower, value))
    ]


def identify(bearer: Pass, fields: ByName, user_id: str | None) -> Caller:
    """Raises `Refusal` (`bad_header`) for a session or tag that is too long or holds control characters, and for too many tags."""
    agent = first(fields, b"user-agent")
    product = _PRODUCT.match(text(agent)) if agent else None
    retries = first(fields, b"x-stainless-retry-count")
    asked = first(fields, b"x-sidecar-gateway")
    return Caller(
        session=bearer.session or _said(fields, user_id) or bearer.run,
        run=bearer.run,
        agent=_name(fields, b"x-claude-code-agent-id"),
        parent_agent=_name(fields, b"x-claude-code-parent-agent-id"),
        tags=union(bearer.tags, _tags(fields)),
        gateway=bearer.gateway or (text(asked).strip() or None if asked else None),
        is_pinned=bearer.gateway is not None,
        project=bearer.project,
        repo=bearer.repo,
        branch=bearer.branch,
        client=product[0] if product else None,
        retry_count=int(retries) if retries and retries.isdigit() and len(retries) < 10 else None,
    )


def union(*groups: Iterable[str]) -> tuple[str, ...]:
    """All of them in order, each once."""
    return tuple(dict.fromkeys(tag for group in groups for tag in group))


def _pass_in(name: bytes, value: bytes) -> str | None:
    """The pass in one value of the field `name`, which is one of `PASS_FIELDS`.  None if it holds none."""
    if name == b"authorization":
        value = _BEARER.sub(b"", value, count=1)
    candidate = value.strip()
    return candidate.decode("latin-1") if candidate.startswith(_PASS_PREFIX) else None


def _said(fields: ByName, user_id: str | None) -> str | None:
    for name in _SESSION_FIELDS:
        if session := _name(fields, name):
            return session
    return _from_user_id(user_id) if user_id else None


def _from_user_id(user_id: str) -> str | None:
    if user_id.lstrip().startswith("{"):
        try:
            session: object = json.loads(user_id).get("session_id")
        except (ValueError, RecursionError):
            return None
    else:
        match = _OLD_USER_ID.search(user_id)
        session = match[1] if match else None
    if not isinstance(session, str) or not session or not is_label(session):
        return None
    return session


def _name(fields: ByName, name: bytes) -> str | None:
    value = first(fields, name)
    return _checked(name, value) if value else None


def _tags(fields: ByName) -> tuple[str, ...]:
    values = (piece for value in every(fields, b"x-sidecar-tags") for piece in value.split(b","))
    tags = union(tag for value in values if (tag := _checked(b"x-sidecar-tags", value)))
    if len(tags) > MOST_TAGS:
        raise Refusal("bad_header", f"x-sidecar-tags names {len(tags)} tags", f"{MOST_TAGS} is the most that one request may have")
    return tags


def _checked(name: bytes, value: bytes) -> str:
    try:
        label = value.decode().strip()
    except UnicodeDecodeError:
        raise Refusal("bad_header", f"{text(name)} is not valid UTF-8") from None
    if not is_label(label):
        raise Refusal("bad_header", f"{text(name)} holds a control character, or a value of more than {LONGEST_LABEL} characters")
    return label
