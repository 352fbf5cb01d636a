from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.wire.sse import Event, Scanner, run_of

LINES = st.sampled_from(
    [
        b"",
        b"",
        b"event: a",
        b"event:b",
        b"data: x",
        b"data:  two",
        b"data:",
        b"data",
        b": c",
        b"id: 1",
        b"retry: 2",
        b"foo: bar",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=30).map(lambda lines: b"".join(line + end for line, end in lines))


def scan(*pieces: bytes, **how) -> list[Event]:
    scanner = Scanner(**how)
    return [event for piece in pieces for event in scanner.feed(piece)] + scanner.close()


def browser(stream: bytes) -> list[Event]:
    """The standard's algorithm, line by line over the whole, with the one difference that the end of the stream dispatches."""
    events, name, data = [], b"", []
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in [*text.split(b"\n"), b""]:
        if not line:
            if data:
                events.append(Event(name, b"\n".join(data)))
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"event: a\ndata: x\n\n", [(b"a", b"x")]),
        (b"event:a\ndata:x\n\n", [(b"a", b"x")]),
        (b"data:  two spaces\n\n", [(b"", b" two spaces")]),
        (b"data: a\ndata:\ndata: b\n\n", [(b"", b"a\n\nb")]),
        (b"data: x\nevent: a\n\n", [(b"a", b"x")]),
        (b"event: a\nevent: b\ndata: x\n\n", [(b"b", b"x")]),
        (b": comment\n\nid: 4\nretry: 9\ndata: x\n\n", [(b"", b"x")]),
        (b"event: a\n\ndata: x\n\n", [(b"", b"x")]),
        (b"\n\n\n\ndata: x\n\n\n\n\ndata: y\n\n", [(b"", b"x"), (b"", b"y")]),
        (b"data: x", [(b"", b"x")]),
        (b"data: a\rdata: b\r\ndata: c\n\rdata: d\r\r", [(b"", b"a\nb\nc"), (b"", b"d")]),
        (b"data: \xff\n\n", [(b"", b"\xff")]),
        (b"\xef\xbb\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n", [(b"", b"x")]),
        (b"", []),
    ],
)
def test_events_are_what_the_standard_says(stream, events):
    assert scan(stream) == events


@given(STREAMS, st.lists(st.integers(0, 300), max_size=8))
@example(b"data: x\r\n\r\n", [1, 8, 9, 10])
def test_any_slices_of_any_stream_give_what_a_browser_would(stream, cuts):
    at = sorted(min(cut, len(stream)) for cut in cuts)
    pieces = [stream[start:end] for start, end in zip([0, *at], [*at, len(stream)], strict=True)]
    assert scan(*pieces) == browser(stream)
    assert scan(*(stream[i : i + 1] for i in range(len(stream)))) == browser(stream)


def test_events_that_are_to_be_skipped_are_not_given_whatever_they_hold():
    stream = b'event: delta\ndata: {"a":"event: stop"}\n\nevent: stop\ndata: 1\n\nevent: delta\ndata: 2\n\n'
    assert scan(stream, skip=run_of(b"delta")) == [(b"stop", b"1")]


SKIPPED_OR_NOT = st.sampled_from(
    [
        b"event: delta\ndata: 1\n\n",
        b"event:delta\n\n",
        b'data: {"type":"delta","x":"event: stop"}\n\n',
        b'data:{"type": "delta"}\nid: 7\n\n',
        b"event: delta2\ndata: 2\n\n",
        b"data: 3\nevent: delta\n\n",
        b'data: {"x":1,"type":"delta"}\n\n',
        b"event: stop\r\ndata: 4\r\n\r\n",
        b": comment\n\n",
        b"\n",
    ]
)


@given(st.lists(SKIPPED_OR_NOT, max_size=12).map(b"".join), st.lists(st.integers(0, 400), max_size=8))
def test_what_is_skipped_does_not_depend_on_the_slices(stream, cuts):
    at = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[start:end] for start, end in zip([0, *at], [*at, len(stream)], strict=True)]
    given = scan(*pieces, skip=run_of(b"delta"))
    assert given == scan(stream, skip=run_of(b"delta"))
    assert list(filter(is_wanted, given)) == list(filter(is_wanted, browser(stream)))


def is_wanted(event: Event) -> bool:
    return event.name != b"delta" and not re.match(rb'\{"type": ?"delta"', event.data)


@pytest.mark.parametrize("piece", [1, 3, 10_000])
def test_an_event_beyond_the_limit_is_left_out_and_the_next_one_read(piece):
    stream = b"data: a\n\ndata: " + b"x" * 100 + b"\ndata: more\n\ndata: b\n\ndata: " + b"y" * 100
    events = scan(*(stream[at : at + piece] for at in range(0, len(stream), piece)), limit=50)
    assert events == [(b"", b"a"), (b"", b"b")]


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("piece", [1, 2, 1000])
def test_the_limit_is_the_same_for_every_slicing(piece, excess):
    stream = b"data: " + b"x" * (44 + excess) + b"\n\ndata: b\n\n"
    events = scan(*(stream[at : at + piece] for at in range(0, len(stream), piece)), limit=50)
    assert len(events) == 2 - excess


def test_an_event_without_end_holds_no_more_memory_than_the_limit():
    scanner = Scanner(limit=1000)
    for _ in range(1000):
        assert scanner.feed(b"x" * 100) == []
        assert len(scanner._buffer) <= 1200


@pytest.mark.parametrize("piece", [1, 4096])
def test_a_two_megabyte_event_takes_linear_time(piece):
    stream = b"data: " + b"x" * 2_000_000 + b"\n\n"
    scanner, events, begun = Scanner(), [], time.process_time()
    for at in range(0, len(stream), piece):
        events += scanner.feed(stream[at : at + piece])
    assert [len(event.data) for event in events] == [2_000_000]
    # Quadratic work would be minutes.
    assert time.process_time() - begun < 20
