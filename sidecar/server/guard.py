"""The guard: checks peer, host, origin and pass of a request before anything else, and before room is made for its body.

A page in a browser can make requests to 127.0.0.1, and can make its own name resolve to it (DNS rebinding); the checks of `Host`,
`Origin` and `Sec-Fetch-Site` are against those, the pass is against everything else.
"""

from __future__ import annotations

import functools
import time
from datetime import datetime
from typing import TYPE_CHECKING

from sidecar.errors import Refusal
from sidecar.launch.loopback import is_loopback
from sidecar.launch.passes import check, ended
from sidecar.sessions.session import find_pass
from sidecar.wire.fields import every, first, text

if TYPE_CHECKING:
    from sidecar.config.settings import Settings
    from sidecar.launch.passes import Pass
    from sidecar.wire.fields import ByName
    from sidecar.wire.head import Head


#: The peer of every request is checked.
_is_loopback = functools.lru_cache(maxsize=256)(is_loopback)


def check_peer(peer: str | None, settings: Settings) -> None:
    """Raises `Refusal` (`forbidden_peer`).  `peer` is the address that connected."""
    if not settings.allow_remote and not (peer is not None and _is_loopback(peer)):
        raise Refusal("forbidden_peer", f"requests from {peer} are not let in", "see `allow_remote:` in the configuration")


def check_site(fields: ByName, settings: Settings) -> None:
    """Raises `Refusal` (`forbidden_host`, `forbidden_origin`) for what a web page has sent."""
    host = _host_name(text(first(fields, b"host") or b""))
    if not _is_loopback(host) and host not in settings.hosts:
        raise Refusal(
            "forbidden_host",
            f"{host[:80]!r} is not a name of this machine's loopback",
            "if you use that name on purpose, add it to `hosts:` in the configuration",
        )
    if first(fields, b"origin") is not None:
        raise Refusal("forbidden_origin", "requests from web pages are not let in")
    site = first(fields, b"sec-fetch-site")
    if site is not None and site.strip() not in {b"none", b"same-origin"}:
        raise Refusal("forbidden_origin", "requests from web pages are not let in")


def check_form(head: Head) -> None:
    """Raises `Refusal` (`bad_request`) for requests that aiohttp accepts but that could not be forwarded as they came.

    It removes the chunks and forgets the coding below them: `gzip, chunked` would arrive as gzip that nothing names.  It also takes
    a request line that ends in HTTP/2.0, or in no version at all, and answers in kind.
    """
    version = head.version
    if head.method == "CONNECT":
        raise Refusal("bad_request", "the sidecar opens no tunnels", "set it as base URL, not as proxy")
    if version not in {(1, 0), (1, 1)}:
        raise Refusal("bad_request", f"HTTP/{version[0]}.{version[1]} is not spoken here", "send HTTP/1.1")
    if any(value.strip().lower() != b"chunked" for value in every(head.named, b"transfer-encoding")):
        raise Refusal("bad_request", "the only transfer coding for a request is chunked", "compress with content-encoding instead")


def admit(fields: ByName, key: bytes, scopes: frozenset[str]) -> Pass:
    """The pass this request holds.  Raises `Refusal`: `bad_pass`, `forbidden_scope`."""
    held = find_pass(fields)
    bearer = check(key, held, time.time()) if held is not None else None
    if bearer is None:
        raise Refusal(
            "bad_pass",
            "this agent holds no valid pass" if held is None else _fault(key, held),
            "start the agent with `sidecar run`, or see `sidecar token`; a login does not help",
        )
    if bearer.scope not in scopes:
        raise Refusal("forbidden_scope", f"a pass of scope {bearer.scope!r} does not open this")
    return bearer


def _fault(key: bytes, held: str) -> str:
    if (over := ended(key, held, time.time())) is None:
        return "this agent's pass is not valid (any more)"
    about = (f"{name} {value}" for name in ("gateway", "session", "project") if (value := getattr(over, name)))
    which = ", ".join(("run " + over.run, *about))
    return f"this agent's pass ended on {datetime.fromtimestamp(over.expires):%Y-%m-%d at %H:%M} ({which})"  # noqa: DTZ006 -- local time is meant


def _host_name(host: str) -> str:
    """Without the port, which is not judged: a forwarded port differs."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name.lower() if not port or port.startswith(":") else host
    return host.partition(":")[0].lower()
