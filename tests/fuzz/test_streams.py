"""Streams in any split and bodies of any content through the whole sidecar: the bytes are the same, the tokens too."""

from __future__ import annotations

import json
import zlib

import pytest
from fakes.running import ask
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(900)  # thousands of examples when deep

EVENTS = [
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":3,"output_tokens":1}}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"event: message_stop\\u00e9\xc3\xa9"}}\n\n',
    b": comment\n\n",
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]
#: In thousandths of the whole; the first list splits the stream into chunks, the second the chunks into what one write holds.
CUTS = st.lists(st.integers(0, 1000), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({len(data) * cut // 1000 for cut in cuts})
    return [piece for start, end in zip([0, *at], [*at, len(data)], strict=True) if (piece := data[start:end])]


def test_a_stream_in_any_split_has_the_same_bytes_and_the_same_tokens(bench):
    @given(CUTS, CUTS, st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
    def holds(chunks, writes, is_compressed, ends):
        stream = b"".join(EVENTS).replace(b"\n", ends)
        body = zlib.compress(stream) if is_compressed else stream
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        head += b"Content-Encoding: deflate\r\n" if is_compressed else b""
        framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in pieces(body, chunks)) + b"0\r\n\r\n"

        async def example():
            bench.wire = pieces(head + b"\r\n" + framed, writes)
            got = await ask(bench.sidecar, body=b'{"model":"m","stream":true}')
            assert (got.body, got.is_whole) == (body, True)

        bench.run(example)

    holds()
    rows = [row for row in bench.every_request_has_its_row() if row["stream"]]
    assert {(row["outcome"], row["input_tokens"], row["output_tokens"]) for row in rows} == {("complete", 3, 7)}


NAMES = st.sampled_from(["model", "Model", "stream", "metadata", "messages"]) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["mapped-1", "mapped-2[1m]", "unmapped"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
#: Members of an object, a repeated name among them now and then, as they are written.
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=5).map(
    lambda members: "{" + ", ".join(f"{json.dumps(name)} :{json.dumps(value)}" for name, value in members) + "}"
)
CHANGES = st.lists(st.tuples(st.integers(0, 1000), st.binary(max_size=3), st.integers(0, 3)), max_size=2)


def changed(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for where, new, replaced in changes:
        at = len(data) * where // 1000
        data = data[:at] + new + data[at + replaced :]
    return data


def mapped(body: bytes) -> set[bytes]:
    """The body itself; and where it is one object with one mapped model, it with that string replaced, wherever the string may stand."""
    try:
        members = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return {body}
    models = [value for name, value in members if name == "model"] if isinstance(members, list) and body.lstrip()[:1] == b"{" else []
    if len(models) != 1 or not isinstance(models[0], str) or not models[0].startswith("mapped-"):
        return {body}
    literal = json.dumps(models[0]).encode()
    places = [at for at in range(len(body)) if body.startswith(literal, at)]
    replaced = {body[:at] + b'"other"' + body[at + len(literal) :] for at in places}
    return {each for each in replaced if dict(json.loads(each, object_pairs_hook=list))["model"] == "other"}


def test_of_any_body_nothing_but_the_mapped_models_own_bytes_differs(bench):
    @given(OBJECTS | st.just('{"model":"mapped-1"}'), CHANGES)
    def holds(text, changes):
        body = changed(text.encode(), changes)

        async def example():
            bench.bodies.clear()
            await ask(bench.sidecar, body=body)
            assert len(bench.bodies) == 1
            assert bench.bodies[0] in mapped(body)

        bench.run(example)

    holds()
    bench.every_request_has_its_row()
