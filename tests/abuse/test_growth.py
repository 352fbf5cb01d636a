"""What comes from outside takes time that grows with its size and with nothing else, because all of it is read in the event loop.

Each function that meets foreign bytes is given an input that is four times as large.  In linear time that takes four times as long,
in quadratic time sixteen times; the limit between them is far from both, and only the process's own CPU time counts.
"""

from __future__ import annotations

import gzip
import json
import time
from contextlib import suppress

import pytest

from sidecar.config import document
from sidecar.launch.passes import Pass
from sidecar.ledger.entry import Kind
from sidecar.metering.meter import Meter
from sidecar.metering.values import NotJSON, decode
from sidecar.observe.redact import Redactor
from sidecar.proxy.echo import Echo
from sidecar.sessions.session import for_the_gateway, identify
from sidecar.wire.body import peek, splice
from sidecar.wire.coding import CodingError, Decoder, DecodingStopped
from sidecar.wire.fields import by_name
from sidecar.wire.head import plain_head
from sidecar.wire.sse import Scanner
from sidecar.wire.target import Target, call_of

QUARTER = 64 * 1024
FASTEST_SECONDS = 0.004
MOST = 10.0

CODE = b'\\"a\\": {\\n' * 8


def of(size: int, piece: bytes, start: bytes = b"", end: bytes = b"") -> bytes:
    return start + piece * (size // len(piece)) + end


def metered(path: str, data: bytes, coding: str | None = None) -> None:
    meter = Meter(Kind.INFERENCE, coding, call_of("POST", path).protocol)
    for at in range(0, len(data), 16 * 1024):
        meter.feed(data[at : at + 16 * 1024])
    meter.reading()


def decoded(data: bytes) -> None:
    with suppress(NotJSON):
        decode(data)


def inflated(data: bytes, *names: str) -> None:
    with suppress(CodingError, DecodingStopped):
        for _ in Decoder(names).feed(data):
            pass


def scanned(data: bytes) -> None:
    scanner = Scanner()
    for at in range(0, len(data), 4096):
        scanner.feed(data[at : at + 4096])
    scanner.close()


def echoed(data: bytes) -> None:
    echo = Echo(["sk-a-secret-of-somebody"], None)
    for at in range(0, len(data), 4096):
        echo.feed(data[at : at + 4096])


BEARER = Pass("run", 2**40)
REDACTOR = Redactor(["sk-a-secret-of-somebody", "another/secret+with%signs"])

READERS = {
    "a string of code that never ends": lambda size: decoded(of(size, CODE, b'{"text":"')),
    "a string that never ends": lambda size: decoded(of(size, b"x", b'{"text":"')),
    "quotation marks": lambda size: decoded(of(size, b'"', b"{")),
    "backslashes": lambda size: decoded(of(size, b"\\", b'{"a":"')),
    "halves of emoji": lambda size: decoded(of(size, b"\\ud83d", b'{"a":"', b'"}')),
    "no UTF-8": lambda size: decoded(of(size, b"\xff", b'{"a":"', b'"}')),
    "open brackets": lambda size: decoded(of(size, b"[", b'{"a":')),
    "empty objects": lambda size: decoded(of(size, b"{},", b'{"content":[', b"{}]}")),
    "messages in messages": lambda size: decoded(of(size, b"x", b'{"message":' * 500 + b'{"a":"', b'"' + b"}" * 501)),
    "digits": lambda size: decoded(of(size, b"9", b'{"a":', b"}")),
    "a message that is cut": lambda size: metered("/v1/messages", of(size, CODE, b'{"type":"message","content":[{"text":"')),
    "an event that is cut": lambda size: metered("/v1/responses", of(size, CODE, b'data: {"type":"response.completed","x":"', b"\n\n")),
    "an event that is no JSON": lambda size: metered("/v1/chat/completions", of(size, CODE, b"data: {", b"\n\n")),
    "events of one letter": lambda size: metered("/v1/messages", of(size, b"data: x\n\n")),
    "lines without an end": lambda size: metered("/v1/messages", of(size, b"data:\n", b"data: 1\n")),
    "carriage returns": lambda size: scanned(of(size, b"\r")),
    "colons": lambda size: scanned(of(size, b":\n")),
    "a line that never ends": lambda size: scanned(of(size, b"x", b"data: ")),
    "events that are stepped over, cut": lambda size: metered("/v1/messages", of(size, b"event: ping\ndata: {}\n", b"event: ping\n")),
    "members of gzip": lambda size: inflated(of(size, gzip.compress(b"")), "gzip"),
    "zeros behind gzip": lambda size: inflated(of(size, b"\0", gzip.compress(b"x")), "gzip"),
    "many codings": lambda size: inflated(b"{}", *["gzip"] * (size // 8)),
    "a secret's beginnings": lambda size: echoed(of(size, b"sk-a-secret-of-somebod")),
    "a log line of escapes": lambda size: REDACTOR.text(of(size, b"\x1b[0;0").decode()),
    "a log line of beginnings": lambda size: REDACTOR.text(of(size, b"sk-ant-://bearer ").decode()),
    "a column of escapes": lambda size: REDACTOR.column(of(size, b"\\u0073%73&#115;").decode()),
    "a request of code": lambda size: peek(of(size, CODE, b'{"model":"')),
    "a request of halves": lambda size: peek(of(size, b"\\ud83d", b'{"model":"a","x":"', b'"}')),
    "a request of repeated names": lambda size: splice(of(size, b'"a":1,', b"{", b'"model":"a"}'), "b"),
    "a request of names": lambda size: splice(json.dumps({"model": "a", **dict.fromkeys(map(str, range(size // 16)), 1)}).encode(), "b"),
    "a user's id": lambda size: identify(BEARER, {}, "_session_" + "a" * size + "!"),
    "a user's ids": lambda size: identify(BEARER, {}, "_session_a" * (size // 10) + "!"),
    "spaces in a pass": lambda size: for_the_gateway([(b"authorization", b"bearer" + b" " * size)]),
    "fields of one name": lambda size: by_name([(b"a", b"b")] * (size // 64)),
    "a head": lambda size: plain_head(of(size, b"a: b\r\n", b"GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n", b"\r\n")),
    "a target of percent signs": lambda size: Target.parse(of(size, b"/%2e%2e;", b"").decode()).is_ambiguous,
    "a target of slashes": lambda size: Target.parse("/" * size + "v1/messages").is_ambiguous,
    "a configuration of keys": lambda size: document.read(of(size // 8, b"a: 1\n").decode()),
    "a configuration of brackets": lambda size: document.read(of(size, b"[").decode()),
}


def seconds(reader, size: int) -> float:
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        reader(size)
        best = min(best, time.process_time() - begun)
    return best


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_four_times_the_bytes_take_about_four_times_as_long(reader):
    size = QUARTER
    small = seconds(reader, size)
    while small < FASTEST_SECONDS and size < 16 * QUARTER:  # too little to measure
        size *= 4
        small = seconds(reader, size)
    large = seconds(reader, 4 * size)
    assert large < MOST * max(small, FASTEST_SECONDS), (size, small, large)
