"""A reply's body in whatever slices: chunks that come whole pass as they are, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from fakes.running import until
from fakes.sink import Sink
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.errors import Refusal
from sidecar.proxy.connection import PIECES, Connection
from sidecar.proxy.reply import ReplyCut

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Gateway(asyncio.Transport):
    """Takes any request."""

    is_held = False

    def write(self, data: bytes) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.is_held = True

    def resume_reading(self) -> None:
        self.is_held = False


def connected(transport: Gateway) -> Connection:
    connection = Connection()
    connection.connection_made(transport)
    return connection


def poured(*reads: bytes, sink: Sink | None = None) -> Sink:
    """What a sink gets of these reads, each of which comes by itself.  Raises what `pour` does."""
    sink = sink or Sink()

    async def pour() -> None:
        connection = connected(Gateway())
        reply = connection.start(b"GET / HTTP/1.1\r\n\r\n", None, chunked=False, is_head=False)
        connection.data_received(reads[0])
        message = await reply.head(None)
        with contextlib.closing(reply):
            pouring = asyncio.ensure_future(reply.pour(sink))
            await asyncio.sleep(0)
            for read in reads[1:]:
                connection.data_received(read)
            if not message.is_complete:
                connection.connection_lost(None)
            await pouring

    asyncio.run(pour())
    return sink


def chunk(data: bytes, size: bytes = b"%x") -> bytes:
    return size % len(data) + b"\r\n" + data + b"\r\n"


@pytest.mark.parametrize("size", [b"%x", b"%X"])
def test_chunks_that_come_one_by_one_pass_as_they_are(size):
    events = [b"data: %d %b\n\n" % (number, b"x" * number) for number in range(300)]
    sink = poured(HEAD, *(chunk(event, size) for event in events), END)
    assert (bytes(sink.body), sink.whole, sink.is_whole) == (b"".join(events), 300, True)


def test_a_chunk_behind_the_head_and_two_at_once_do_not_stop_that():
    sink = poured(HEAD + chunk(b"a"), chunk(b"b"), chunk(b"c") + chunk(b"d"), chunk(b"e"), chunk(b"f") + END)
    assert (bytes(sink.body), sink.whole) == (b"abcdef", 2)


def test_nor_does_one_that_comes_in_two_parts_or_with_an_extension_or_zeros_before_its_size():
    sink = poured(
        HEAD, b"5\r\nhe", b"llo\r\n", chunk(b"1"), b"1;x=y\r\n2\r\n", chunk(b"3"), b"01\r\n4\r\n", chunk(b"5"), b"1", b"\r\n6\r\n", END
    )
    assert (bytes(sink.body), sink.whole) == (b"hello123456", 3)


def test_what_looks_like_a_chunk_inside_of_one_is_no_chunk():
    inside = chunk(b"abc")
    outer = chunk(inside * 3)
    start = outer.index(b"\n") + 1
    sink = poured(HEAD, outer[:start], *[inside] * 3, b"\r\n", END)
    assert (bytes(sink.body), sink.whole) == (inside * 3, 0)


def test_what_looks_like_a_chunk_behind_half_a_size_is_no_chunk():
    # "1" and then "6 CR LF ...": a chunk of 0x16 bytes, of which only the second part looks like one of 6.
    rest = b"6\r\n" + b"12345\n" + b"\r\n"
    sink = poured(HEAD, chunk(b"a"), b"1", rest, b"x" * (0x16 - len(rest) + 3) + b"\r\n", END)
    assert bytes(sink.body) == b"a" + rest[3:] + b"x" * (0x16 - len(rest) + 3)


def test_a_body_with_a_length_or_until_the_end_is_never_taken_for_chunks():
    inside = chunk(b"abc")
    sink = poured(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (3 * len(inside)), *[inside] * 3)
    assert (bytes(sink.body), sink.whole) == (inside * 3, 0)
    sink = poured(b"HTTP/1.1 200 OK\r\n\r\n", *[inside] * 3)
    assert (bytes(sink.body), sink.whole) == (inside * 3, 0)


def test_a_trailer_that_looks_like_a_chunk_is_none():
    sink = poured(HEAD, chunk(b"a"), b"0\r\n", b"X: 1\r\n", b"\r\n")
    assert (bytes(sink.body), sink.whole, sink.is_whole) == (b"a", 1, True)
    with pytest.raises(ReplyCut):
        poured(HEAD, chunk(b"a"), b"0\r\n", chunk(b"evil"), sink=(sink := Sink()))
    assert bytes(sink.body) == b"a"


def test_a_chunk_that_does_not_end_as_one_is_a_fault():
    with pytest.raises(ReplyCut):
        poured(HEAD, chunk(b"a"), b"5\r\nhello\n\n", sink=(sink := Sink()))
    assert (bytes(sink.body), sink.whole) == (b"ahello", 1)


def test_a_cut_between_two_chunks_is_one():
    with pytest.raises(ReplyCut):
        poured(HEAD, chunk(b"a"), chunk(b"b"), sink=(sink := Sink()))
    assert (bytes(sink.body), sink.is_whole) == (b"ab", False)


def test_an_agent_that_has_gone_is_told_of_at_its_next_chunk():
    class Closed(Sink):
        """As uvloop's transports say it."""

        def write(self, _chunk: bytes) -> None:
            raise RuntimeError

    with pytest.raises(ConnectionResetError):
        poured(HEAD, chunk(b"a"), chunk(b"b"), sink=Closed())


def test_and_soon_where_its_transport_says_nothing():
    class Gone(Sink):
        def passed(self) -> bool:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        poured(HEAD, *[chunk(b"a")] * PIECES, sink=Gone())


async def test_a_full_sink_holds_the_gateway_until_it_has_drained():
    gateway, sink = Gateway(), Sink(room=PIECES)
    connection = connected(gateway)
    reply = connection.start(b"GET / HTTP/1.1\r\n\r\n", None, chunked=False, is_head=False)
    connection.data_received(HEAD)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reply.pour(sink))
        await asyncio.sleep(0)
        for _ in range(PIECES - 1):
            connection.data_received(chunk(b"a"))
        assert not gateway.is_held
        connection.data_received(chunk(b"b"))
        assert gateway.is_held
        await asyncio.sleep(0)
        sink.empty()
        await until(lambda: not gateway.is_held)
        connection.data_received(END)
    assert (bytes(sink.body), sink.whole) == (b"a" * (PIECES - 1) + b"b", PIECES)


async def test_a_chunk_that_passes_counts_as_a_sign_of_life():
    connection, sink = connected(Gateway()), Sink()
    reply = connection.start(b"GET / HTTP/1.1\r\n\r\n", None, chunked=False, is_head=False)
    connection.data_received(HEAD)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reply.pour(sink, idle_seconds=60))
        await asyncio.sleep(0)
        for read in (chunk(b"a"), chunk(b"b"), b"1\r\n", b"c\r\n"):
            before = connection.heard_at
            until_later(before)
            connection.data_received(read)
            assert connection.heard_at > before
        connection.data_received(END)
    assert (bytes(sink.body), sink.whole) == (b"abc", 2)


def until_later(moment: float) -> None:
    """Some clocks stand still for milliseconds."""
    while time.monotonic() <= moment:
        pass


ODD = st.sampled_from([b"a", b"5\r\n", b"\r\n", b"1", b"0\r\n\r\n", b"1\r\na\r\n", b"3\r\n\r\n\r\r\n", b"\n\n", b"data: x\n\n"])
SIZES = st.sampled_from([b"%x\r\n", b"%X\r\n", b"0%x\r\n", b"%x \r\n", b"%x;a=b\r\n"])
CHUNKS = st.lists(st.tuples(SIZES, st.lists(ODD, min_size=1, max_size=5).map(b"".join)), max_size=6)
TRAILERS = st.sampled_from([b"", b"X: 1\r\n", b"1: a\r\n"])


@given(CHUNKS, TRAILERS, st.sets(st.integers(0, 200), max_size=12), st.booleans())
@example([(b"%x\r\n", b"1\r\na\r\n")], b"", {3}, False)
def test_a_body_is_the_same_however_it_comes(chunks, trailers, cuts, is_cut_between):
    parts = [size % len(data) + data + b"\r\n" for size, data in chunks]
    whole = b"".join(parts) + b"0\r\n" + trailers + b"\r\n"
    if is_cut_between:
        ends = [sum(map(len, parts[: number + 1])) for number in range(len(parts))]
        cuts = cuts | {*ends}
    at = sorted({cut for cut in cuts if 0 < cut < len(whole)})
    reads = [whole[start:end] for start, end in zip([0, *at], [*at, len(whole)], strict=True)]
    sink = poured(HEAD, *reads)
    assert (bytes(sink.body), sink.is_whole) == (b"".join(data for _, data in chunks), True)


@given(st.lists(ODD | st.binary(max_size=9), max_size=8), st.booleans())
def test_noise_behind_a_head_is_read_as_one_parser_reads_it_in_one_piece(pieces, is_behind_a_chunk):
    """What follows a valid beginning may be anything: passing on what looks like a chunk must change nothing."""
    start = [HEAD, chunk(b"a")] if is_behind_a_chunk else [HEAD]
    sliced, at_once = Sink(), Sink()
    ends = []
    for sink, reads in ((sliced, [*start, *filter(None, pieces)]), (at_once, [b"".join([*start, *pieces])])):
        try:
            poured(*reads, sink=sink)
        except (ReplyCut, Refusal) as error:
            ends.append(type(error))
        else:
            ends.append(None)
    if Refusal not in ends:  # a fault beside the head: nothing of it goes out
        assert (sliced.body, sliced.is_whole, ends[0]) == (at_once.body, at_once.is_whole, ends[1])
