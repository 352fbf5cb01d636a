"""Any bytes as a gateway's reply: the agent gets exactly what they say, or an error, or a connection that is cut; never something else."""

from __future__ import annotations

import h11
import pytest
from fakes.running import ask
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(900)  # thousands of examples when deep

STATUSES = st.sampled_from(
    [b"200 OK", b"529 ", b"404 Not Found", b"204 No Content", b"304 Not Modified", b"101 Switching", b"103 Early Hints"]
)
FIELDS = st.lists(
    st.sampled_from(
        [
            b"Content-Type: text/event-stream",
            b"Content-Type: application/json",
            b"Content-Encoding: gzip",
            b"Content-Length: 5",
            b"Content-Length: 0",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: identity",
            b"Connection: close",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Keep-Alive: timeout=5",
            b"Trailer: X",
            b"Set-Cookie: a=1",
            b"X: caf\xe9",
            b"X: \x01",
            b"X: a\r\n folded",
            b"X : space",
            b"Date:",
            b": none",
            b"no colon",
        ]
    ),
    max_size=5,
)
CHUNKS = st.lists(
    st.sampled_from([b"data: {}\n\n", b'{"type":"message_start"}', b"event: error\n", b"\x1f\x8b\x08"])
    | st.binary(min_size=1, max_size=20),
    max_size=5,
)
PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\x00", b"0\r\n\r\n", b"zz\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b";x", b"-1", b"ffffffffffffffffff\r\n", b" "]
)
CHANGES = st.lists(st.tuples(st.integers(0, 1000), PIECES | st.binary(max_size=4), st.integers(0, 8)), max_size=2)
CUTS = st.lists(st.integers(0, 1000), max_size=4)


def chunked(chunks: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def changed(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for where, new, replaced in changes:
        at = len(data) * where // 1000
        data = data[:at] + new + data[at + replaced :]
    return data


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({len(data) * cut // 1000 for cut in cuts})
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


def strictly(data: bytes) -> tuple[int, bytes, bool] | None:
    """What a strict parser makes of it: status, body, and whether it came to its end; None if it is no HTTP."""
    there = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    there.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    there.send(h11.EndOfMessage())
    there.receive_data(data)
    there.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            match there.next_event():
                case h11.Response() as response:
                    status = response.status_code
                case h11.Data(data=some):
                    body += bytes(some)
                case h11.EndOfMessage():
                    return status, body, True
                case h11.InformationalResponse():
                    pass
                case _:
                    return None
    except h11.RemoteProtocolError:
        return (status, body, False) if status else None


def is_told(bench, data: bytes, got) -> None:
    """Either our own error, or the gateway's reply: then as a strict reader of the same bytes would have had it."""
    own = got.value(b"x-sidecar-error")
    if own is not None and b'"sidecar: ' in got.body and b'"sidecar: ' not in data:
        assert (got.status, own) in {(502, b"bad_reply"), (502, b"upstream_closed")}
        return
    expected = strictly(data)
    if expected is None:  # a form that only lenient readers take
        return
    status, body, is_whole = expected
    assert got.status == status
    if is_whole and got.is_whole:
        assert got.body == body
    elif got.is_whole:
        raise AssertionError(f"a cut reply looks whole: {data!r} became {got}")


def test_noise_is_no_reply(bench):
    @given(st.lists(PIECES | st.binary(max_size=60), max_size=8).map(b"".join), CUTS)
    def holds(data, cuts):
        async def example():
            bench.wire = pieces(data, cuts)
            is_told(bench, data, await ask(bench.sidecar))

        bench.run(example)

    holds()
    bench.every_request_has_its_row()


def test_a_good_reply_with_changes_arrives_as_it_is_or_as_an_error_or_cut(bench):
    @given(STATUSES, FIELDS, CHUNKS, st.sampled_from(["length", "chunked", "close"]), CHANGES, CUTS)
    def holds(status, fields, chunks, framing, changes, cuts):
        body = b"".join(chunks)
        framed = {"length": b"Content-Length: %d\r\n" % len(body), "chunked": b"Transfer-Encoding: chunked\r\n", "close": b""}[framing]
        head = b"HTTP/1.1 " + status + b"\r\n" + b"".join(each + b"\r\n" for each in fields) + framed + b"\r\n"
        data = changed(head + (chunked(chunks) if framing == "chunked" else body), changes)

        async def example():
            bench.wire = pieces(data, cuts)
            is_told(bench, data, await ask(bench.sidecar))

        bench.run(example)

    holds()
    bench.every_request_has_its_row()
