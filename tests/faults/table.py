"""The table of faults: where a request to a gateway breaks, and on which ways each break can be met.

Four places, in the order in which a request meets them: no way to the gateway, an upload that does not get through, no usable head
of a reply, a body that does not come to its end (or should not be believed).  `cells()` multiplies each fault with the axes that mean
something there: before a reply there is no framing, behind its head it no longer matters how the request was sent.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from faults.events import DELTA, END, ERROR, HALF, MESSAGE, PAGE, START, Coding, Framing

if TYPE_CHECKING:
    from collections.abc import Iterator


class Way(StrEnum):
    """From the sidecar to the gateway."""

    HTTP = "http"
    HTTPS = "https"
    FORWARDED = "http by proxy"
    TUNNEL = "https by proxy"


class Sent(StrEnum):
    """How the agent's body is handed on: read whole first (a message), or piece by piece (any other path)."""

    WHOLE = "whole"
    STREAMED = "streamed"


class Then(StrEnum):
    """What the gateway does after its last byte."""

    END = "ends the message"
    FIN = "FIN"
    RST = "RST"
    STALL = "stalls"
    GARBAGE = "bad chunk size"


DIRECT = (Way.HTTP, Way.HTTPS)
PROXIED = (Way.FORWARDED, Way.TUNNEL)
TLS = (Way.HTTPS, Way.TUNNEL)


@dataclass(frozen=True, slots=True)
class NoWay:
    """No connection comes about.  `peer` (of `peers.py`) is what answers in place of the gateway, or of the proxy if `is_proxy`."""

    name: str
    peer: str
    ways: tuple[Way, ...]
    code: str = "unreachable"
    is_final: bool = False
    is_proxy: bool = False


@dataclass(frozen=True, slots=True)
class NoUpload:
    """The gateway reads the head of a request of 16 MiB and nothing more.  `answer` is what it then says, `code` what comes of it
    if that is no answer; with neither, the agent loses patience and leaves.
    """

    name: str
    then: Then
    code: str | None = None
    answer: bytes = b""
    ways: tuple[Way, ...] = DIRECT

    @property
    def is_answered(self) -> bool:
        """True if the agent gets to hear something, be it from the sidecar."""
        return bool(self.code or self.answer)


@dataclass(frozen=True, slots=True)
class NoHead:
    """A request arrived (or, `is_early`, was not waited for), and `said` is all that comes back before `then`."""

    name: str
    said: bytes
    then: Then
    code: str
    is_early: bool = False
    ways: tuple[Way, ...] = DIRECT


@dataclass(frozen=True, slots=True)
class Body:
    """Status and fields arrive; `pieces` of the body follow, and then `then`.  A promised length is 99 bytes more unless `then` is END.

    `interim` comes before the head, `surplus` behind the end.
    """

    name: str
    pieces: tuple[bytes, ...]
    then: Then = Then.END
    status: bytes = b"200 OK"
    fields: bytes = b"Content-Type: text/event-stream\r\n"
    interim: bytes = b""
    surplus: bytes = b""
    framings: tuple[Framing, ...] = tuple(Framing)


Fault = NoWay | NoUpload | NoHead | Body

NO_WAY = (
    NoWay("no such host", "nowhere", (*DIRECT, *PROXIED), is_final=True),
    NoWay("connection refused", "nobody", (*DIRECT, *PROXIED)),
    NoWay("connect hangs", "full", (*DIRECT, *PROXIED), code="timeout_connect"),
    NoWay("TLS greeting not answered", "silent", TLS, code="timeout_connect"),
    NoWay("TLS greeting answered by FIN", "hangs up", TLS),
    NoWay("TLS greeting answered by RST", "resets", TLS),
    NoWay("TLS greeting answered in plain text", "speaks plain", TLS, is_final=True),
    NoWay("certificate for another name", "another name", TLS, is_final=True),
    NoWay("certificate expired", "expired", TLS, is_final=True),
    NoWay("certificate of an unknown CA", "unknown CA", TLS, is_final=True),
    NoWay("proxy does not answer", "silent", (Way.TUNNEL,), code="timeout_connect", is_proxy=True),
    NoWay("proxy hangs up", "hangs up", (Way.TUNNEL,), is_proxy=True),
    NoWay("proxy resets", "resets", (Way.TUNNEL,), is_proxy=True),
    NoWay("proxy wants a password", "says 407", (Way.TUNNEL,), is_proxy=True),
    NoWay("proxy does not get through", "says 502", (Way.TUNNEL,), is_proxy=True),
    NoWay("proxy is none", "speaks SSH", (Way.TUNNEL,), is_proxy=True),
)

NO_UPLOAD = (
    NoUpload("upload stalls, then FIN", Then.FIN, "upstream_closed"),
    NoUpload("upload stalls, then RST", Then.RST, "upstream_closed"),
    NoUpload("upload stalls, then an answer", Then.STALL, answer=b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"),
    NoUpload("upload stalls, then an answer until FIN", Then.FIN, answer=b"HTTP/1.1 413 Too Large\r\n\r\nno", ways=(Way.HTTP,)),
    NoUpload("upload stalls, the agent leaves", Then.STALL),
)

_HEAD = b"HTTP/1.1 200 OK\r\n"
NO_HEAD = (
    *(NoHead(f"{then} before the request", b"", then, "upstream_closed", is_early=True) for then in (Then.FIN, Then.RST)),
    *(NoHead(f"{then} instead of an answer", b"", then, "upstream_closed") for then in (Then.FIN, Then.RST)),
    *(NoHead(f"half a status line, {then}", b"HTTP/1.", then, "bad_reply") for then in (Then.FIN, Then.RST)),
    *(NoHead(f"half the fields, {then}", _HEAD + b"Content-Le", then, "bad_reply") for then in (Then.FIN, Then.RST)),
    *(NoHead(f"103, {then}", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", then, "bad_reply") for then in (Then.FIN, Then.RST)),
    NoHead("stalls before the head", b"", Then.STALL, "timeout_first_byte"),
    NoHead("stalls in the head", _HEAD + b"Content-Le", Then.STALL, "timeout_first_byte"),
    NoHead("not HTTP", b"SSH-2.0-OpenSSH_9.2\r\n", Then.STALL, "bad_reply"),
    NoHead("a page without a head", PAGE, Then.STALL, "bad_reply"),
    NoHead("a control byte in a field", _HEAD + b"X: a\x01b\r\nContent-Length: 0\r\n\r\n", Then.STALL, "bad_reply"),
    NoHead("NUL in a field", _HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n", Then.STALL, "bad_reply"),
    NoHead("a space in a field's name", _HEAD + b"X Y: ab\r\nContent-Length: 0\r\n\r\n", Then.STALL, "bad_reply"),
    NoHead("Transfer-Encoding: gzip, chunked", _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Then.STALL, "bad_reply"),
    NoHead("length and chunked", _HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", Then.STALL, "bad_reply"),
    NoHead("two lengths", _HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", Then.STALL, "bad_reply"),
    NoHead("a length that is none", _HEAD + b"Content-Length: -3\r\n\r\n", Then.STALL, "bad_reply"),
    NoHead("101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", Then.STALL, "bad_reply"),
)

_POSITIONS = {"before the first event": (), "in the middle of an event": (START, HALF), "after the last event": MESSAGE}
_BREAKS = (Then.FIN, Then.RST, Then.STALL)
_MIDWAY = tuple(Body(f"{then} {where}", pieces, then) for then in _BREAKS for where, pieces in _POSITIONS.items())
_BAD_CHUNKS = tuple(
    Body(f"{Then.GARBAGE} {where}", pieces, Then.GARBAGE, framings=(Framing.CHUNKED,)) for where, pieces in _POSITIONS.items()
)
BROKEN_BODY = (
    *_MIDWAY,
    *_BAD_CHUNKS,
    *(Body(f"an error event, then {then}", (START, ERROR), then) for then in (Then.FIN, Then.RST)),
)
WHOLE_BODY = (
    Body("a whole message", MESSAGE),
    Body("a whole message behind 100 and 103", MESSAGE, interim=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: x\r\n\r\n"),
    Body("more than was promised", (START, DELTA), surplus=END, framings=(Framing.CHUNKED, Framing.LENGTH)),
    Body("a polite end before the last event", (START, DELTA)),
    Body("an error event, then a polite end", (START, ERROR)),
    Body("nothing at all", ()),
    Body("a page instead of a message", (PAGE,), fields=b"Content-Type: text/html\r\n"),
    Body("a page with 403", (PAGE,), status=b"403 Forbidden", fields=b"Content-Type: text/html\r\n"),
    Body("a redirect", (), status=b"307 Temporary Redirect", fields=b"Location: http://127.0.0.1:9/elsewhere\r\n"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault as it is met in one way.  `agent` is the version of HTTP that the agent speaks."""

    fault: Fault
    way: Way = Way.HTTP
    sent: Sent = Sent.WHOLE
    framing: Framing | None = None
    coding: Coding = Coding.PLAIN
    agent: str = "1.1"

    @property
    def axes(self) -> tuple[str, ...]:
        """What tells this cell from the others of its fault."""
        if self.framing is None:
            return self.way, self.sent
        return self.framing, self.coding, f"HTTP/{self.agent}"

    def __str__(self) -> str:
        return ", ".join((self.fault.name, *self.axes))


def cells() -> Iterator[Cell]:
    for early in (*NO_WAY, *NO_UPLOAD, *NO_HEAD):
        yield from (Cell(early, way, sent) for way, sent in itertools.product(early.ways, Sent))
    for body in (*BROKEN_BODY, *WHOLE_BODY):
        # What ends a reply for an agent of HTTP/1.0 may be the end of the connection: only there a cut has to be a reset.
        agents = ("1.1", "1.0") if body in BROKEN_BODY else ("1.1",)
        for framing, coding, agent in itertools.product(body.framings, Coding, agents):
            yield Cell(body, framing=framing, coding=coding, agent=agent)
