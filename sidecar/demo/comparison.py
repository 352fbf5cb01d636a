"""What the gateway received, held against what the agent sent.  Pure.  No secret is in a `Finding`, only a word for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sidecar.demo.gateway import Received

_OF_THE_CONNECTION = frozenset({"host", "connection", "content-length"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the comparison: `holds` says whether it is as promised."""

    what: str
    sent: str
    received: str
    holds: bool


def credential(received: Sequence[Received], key: str, pass_: str) -> Finding:
    """The gateway's key in the place of the pass, and the pass nowhere, in every request."""
    replaced = bool(received) and all(request.values("authorization") == (f"Bearer {key}",) for request in received)
    leaked = any(pass_ in repr(request) for request in received)
    seen = ("the gateway's key" if replaced else "not the gateway's key") + (", and the pass" if leaked else ", no pass")
    return Finding("credential", "a pass", seen, replaced and not leaked)


def added(received: Received, what: str, header: str, expected: str) -> Finding:
    """A header that the sidecar adds, with the value it should have."""
    arrived = received.values(header)
    return Finding(what, "", f"{header}: {', '.join(arrived)}" if arrived else "nothing", arrived == (expected,))


def target(sent: str, received: Received) -> Finding:
    return Finding("path", sent, received.target, sent == received.target)


def other_headers(sent: Iterable[tuple[str, str]], received: Received, replaced: frozenset[str]) -> Finding:
    """All but those that the sidecar replaces or adds and those that belong to the connection: same names, values and order."""
    apart = replaced | _OF_THE_CONNECTION
    before = [(name, value) for name, value in sent if name.lower() not in apart]
    after = [(name, value) for name, value in received.fields if name.lower() not in apart]
    same = before == after
    return Finding("other headers", f"{len(before)}", f"the same {len(after)}" if same else f"others: {len(after)}", same)


def body(sent: bytes, received: Received) -> Finding:
    before, after = (hashlib.sha256(data).hexdigest() for data in (sent, received.body))
    return Finding("body, SHA-256", before, after, before == after)


def tokens(reported: Mapping[str, object], written: Sequence[Mapping[str, object]]) -> Finding:
    """The ledger's one row against the numbers that the gateway reported last."""
    said = [reported.get(f"{name}_tokens") for name in ("input", "output", "cache_read_input", "cache_creation_input")]
    kept = [_counts(row) for row in written]
    return Finding("tokens", _shown(said), f"ledger: {', '.join(map(_shown, kept)) or 'no row'}", kept == [said])


def _counts(row: Mapping[str, object]) -> list[object]:
    """In, out, read from the cache, written to it."""
    halves = (row.get("cache_write_5m_tokens"), row.get("cache_write_1h_tokens"))
    writes = sum(half for half in halves if isinstance(half, int))
    return [row.get("input_tokens"), row.get("output_tokens"), row.get("cache_read_tokens"), writes]


def _shown(counts: Sequence[object]) -> str:
    return " + ".join(map(str, counts))


def rows(received: Sequence[Received], written: Sequence[Mapping[str, object]]) -> Finding:
    """One row of the ledger for each request that arrived, each under its session."""
    sessions = {str(row.get("session")) for row in written}
    holds = bool(received) and len(received) == len(written)
    return Finding("requests", f"{len(received)} arrived", f"ledger: {len(written)} under {len(sessions)} session(s)", holds)
