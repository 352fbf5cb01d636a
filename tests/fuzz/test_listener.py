"""Any bytes at the listener: it lives, leaks nothing, says nothing of its inside, and writes one row for each request that went out."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from fakes.raw import reply
from fakes.running import client, request
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(900)  # thousands of examples when deep

#: Seconds until a silence counts as one: the sidecar waits for the rest.
PATIENCE = 0.03

PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b" ",
        b":",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"GET /v1/models HTTP/1.1\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Expect: \xff\r\n",
        b"Upgrade: websocket\r\n",
        b"Connection: upgrade\r\n",
        b"Connection: close\r\n",
        b"Host: 127.0.0.1\r\n",
        b"Host: [\r\n",
        b"x-sidecar-gateway: \xff\r\n",
        b"x-sidecar-session: \xc2\x85\r\n",
        b"x-sidecar-tags: a,,b\r\n",
        b"x-sidecar-pass: sidecar-pass-\xff.\r\n",
        b"5\r\nabcde\r\n",
        b"0\r\n\r\n",
        b"\xff" * 100,
        b"/v1/%00",
        b"/_sidecar/usage?session=%ff",
        b"http://[::1",
    ]
)
NOISE = st.lists(PIECES | st.binary(max_size=40), max_size=12).map(b"".join)
#: Where a good request is changed (in thousandths of its length), what goes there, and how much it replaces.
CHANGES = st.lists(st.tuples(st.integers(0, 1000), PIECES | st.binary(max_size=4), st.integers(0, 12)), max_size=4)
TARGETS = st.sampled_from([b"/v1/messages", b"/v1/files", b"/_sidecar/status", b"/_sidecar/stop?x", b"/", b"*"])
METHODS = st.sampled_from([b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT"])


def changed(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for where, new, replaced in changes:
        at = len(data) * where // 1000
        data = data[:at] + new + data[at + replaced :]
    return data


async def converse(sidecar, *pieces: bytes) -> bytes:
    """What the sidecar answers to these bytes and then to the end of the connection."""
    got = b""
    async with client(sidecar) as agent:
        with contextlib.suppress(ConnectionError, TimeoutError):
            for piece in pieces:
                agent.send(piece)
                await asyncio.sleep(0)
            while data := await asyncio.wait_for(agent.reader.read(65536), PATIENCE):
                got += data
        await asyncio.sleep(0)
    return got


def says_nothing_of_its_inside(got: bytes, sent: bytes) -> None:
    for trace in (b"Traceback", b'File "', b"site-packages", b"Exception", b"x-sidecar-error: internal", b"500 Internal"):
        assert trace not in got or trace in sent
    head, _, rest = got.partition(b"\r\n\r\n")
    if b"x-sidecar-error" in head and b"HEAD" not in sent:
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        error = json.loads(rest[:length])
        assert error["type"] == "error"
        assert error["error"]["message"].startswith("sidecar: ")


def test_noise_is_answered_or_closed(bench):
    @given(sent=NOISE, rest=NOISE)
    def holds(sent, rest):
        async def example():
            says_nothing_of_its_inside(await converse(bench.sidecar, sent, rest), sent + rest)

        bench.run(example)

    holds()
    assert bench.others == 0  # nothing of it held a pass


def test_a_good_request_with_changes_goes_out_at_most_once_and_has_its_row(bench):
    @given(
        method=METHODS,
        target=TARGETS,
        body=st.none() | st.binary(max_size=50),
        is_chunked=st.booleans(),
        changes=CHANGES,
        cut=st.integers(0, 1000),
    )
    def holds(method, target, body, is_chunked, changes, cut):
        if is_chunked and body:
            framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            whole = request(bench.sidecar, b"Transfer-Encoding: chunked", method=method, target=target, body=None) + framed
        else:
            whole = request(bench.sidecar, method=method, target=target, body=body)
        sent = changed(whole, changes)
        at = len(sent) * cut // 1000

        async def example():
            before = bench.others
            says_nothing_of_its_inside(await converse(bench.sidecar, sent[:at], sent[at:]), sent)
            assert bench.others - before <= 1

        bench.run(example)

    bench.wire = [reply(b"{}", b"Connection: close")]
    holds()
    bench.every_request_has_its_row()
