"""Every reply in `tests/transcripts` gives the reading beside it, however its bytes arrive."""

from __future__ import annotations

import gzip
import re
import sys
import zlib

import brotli
import pytest
from fakes import transcripts
from fakes.transcripts import reply
from hypothesis import given
from hypothesis import strategies as st

from sidecar.ledger.entry import Kind
from sidecar.metering.meter import Meter
from sidecar.metering.reading import Reading, Usage, UsageSource
from sidecar.metering.values import SMALL
from sidecar.wire.target import call_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAMES = transcripts.NAMES
STREAMS = [name for name in NAMES if name.endswith(".sse")]
BODIES = [name for name in NAMES if name.endswith(".json")]
#: What a stream says last; before one of these is whole nothing may count as finished.
LAST_WORDS = (
    b'"message_stop"',
    b"message_stop\ndata: {}",
    b'"response.completed"',
    b'"response.incomplete"',
    b"[DONE]",
)
#: A stop reason that is one is an end mark, too.
STOP_REASON = re.compile(rb'"(?:stop_reason|finish_reason)" *: *"')
#: What is about framing is split and cut at every byte; of the others, whose framing is the same, some places will do.
FRAMING = ("bom", "comments", "cr", "crlf", "event-after-data", "mixed-ends", "no-event-lines", "no-last-blank-line", "no-space")


def expected(name: str) -> Reading:
    values = transcripts.told(name)
    return Reading(**values | {"usage": Usage(**values.get("usage", {})), "usage_source": UsageSource(values["usage_source"])})


def read(pieces, name: str = "crlf.sse", coding: str | None = None) -> Reading:
    meter = Meter(Kind.INFERENCE, coding, call_of("POST", transcripts.path(name)).protocol)
    for piece in pieces:
        meter.feed(piece)
    return meter.reading()


def places(name: str, data: bytes) -> list[int]:
    """Where to split or cut: everywhere, or around line ends, near both ends of the reply, and now and then."""
    if name.partition(".")[0] in FRAMING:
        return list(range(len(data)))
    near_lines = {at + step for at, byte in enumerate(data) if byte in b"\r\n" for step in (-1, 0, 1, 2, 7)}
    chosen = near_lines | set(range(40)) | set(range(len(data) - 40, len(data))) | set(range(0, len(data), 23))
    return sorted(at for at in chosen if 0 <= at < len(data))


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": lambda data: zstd.compress(data[: len(data) // 2]) + zstd.compress(data[len(data) // 2 :]),
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "identity": lambda data: data,
}


def test_there_is_a_transcript_for_every_reading_and_a_reading_for_every_transcript():
    replies = {path.name for path in transcripts.FOLDER.iterdir() if path.suffix != ".toml" and not path.name.startswith(".")}
    assert replies == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_gives_its_reading(name):
    assert read([reply(name)], name) == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_come_one_by_one_give_the_same(name):
    data = reply(name)
    assert read((data[at : at + 1] for at in range(len(data))), name) == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_two_pieces_give_the_same(name):
    data, reading = reply(name), expected(name)
    for at in places(name, data):
        assert read([data[:at], data[at:]], name) == reading, at


@given(st.data())
def test_any_slices_give_the_same(data):
    name = data.draw(st.sampled_from(NAMES))
    whole = reply(name)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = (whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True))
    assert read(pieces, name) == expected(name)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_anywhere_never_counts_as_more_than_it_is(name):
    data, reading = reply(name), expected(name)
    text = with_lf(data)
    ends = [text.index(words) + len(words) for words in LAST_WORDS if words in text]
    ends += [found.start() for found in STOP_REASON.finditer(text)]
    for at in places(name, data):
        cut = read([data[:at]], name)
        assert cut.gave_up is None
        assert not cut.finished or (ends and min(ends) <= len(with_lf(data[:at]))), at
        assert not cut.failed or reading.failed, at
        assert cut.empty == (not data[:at].removeprefix(b"\xef\xbb\xbf").strip()) or data[:at] in b"\xef\xbb\xbf", at


def with_lf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@pytest.mark.parametrize("name", BODIES)
def test_a_body_cut_anywhere_is_neither_finished_nor_refused(name):
    data = reply(name).rstrip()
    for at in places(name, data):
        cut = read([data[:at]], name)
        assert (cut.finished, cut.failed, cut.usage_source, cut.gave_up) == (False, False, UsageSource.NONE, None), at


OUTERMOST = re.compile(rb'^(?:data: ?)?\{(?=")')
INNER = re.compile(rb'"(?:message|response|error|delta|item|content_block)": ?\{(?=")')


#: Read in a small text only: numbers beyond all bounds, and a list where an object is due.
SMALL_ONLY = {"huge-numbers.sse", "listed-error.json"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SMALL_ONLY])
@pytest.mark.parametrize("place", [OUTERMOST, INNER], ids=["outermost", "inner"])
def test_a_very_large_reply_is_read_like_a_small_one(name, place):
    """Something long in the outermost object of each event or body, or in one within it, changes nothing."""
    pad = b'"pad":"%b",' % (b"x" * SMALL)
    large = b"\n".join(place.sub(lambda found: found[0] + pad, line, count=1) for line in reply(name).split(b"\n"))
    assert read([large], name) == read([large.replace(pad, b'"pad":"",')], name)


@pytest.mark.parametrize("coding", CODINGS)
def test_every_coding_gives_the_same(coding):
    for name in NAMES:
        coded = CODINGS[coding](reply(name))
        assert read([coded], name, coding) == expected(name), name
        assert read((coded[at : at + 61] for at in range(0, len(coded), 61)), name, coding) == expected(name), name


def test_an_event_of_two_megabytes_is_one_event():
    text = b"x" * 2_000_000
    delta = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"' + text + b'"}}\n\n'
    start, end = reply("anthropic-cache.sse").split(b"event: content_block_delta", 1)
    big_start = start.replace(b'"content":[]', b'"content":[],"x":"' + text + b'"', 1)
    stream = big_start + delta + b"event: content_block_delta" + end
    pieces = [stream[at : at + 16_384] for at in range(0, len(stream), 16_384)]
    assert read(pieces) == expected("anthropic-cache.sse")
    for coding in ("gzip", "br", "zstd"):
        assert read([CODINGS[coding](stream)], coding=coding) == expected("anthropic-cache.sse")


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_stream_cut_anywhere_never_counts_as_finished(coding):
    # Without a stop reason only the very last event is an end mark.
    coded = CODINGS[coding](reply("no-last-blank-line.sse").replace(b'"stop_reason":"end_turn"', b'"stop_reason":null'))
    # The last eight bytes of gzip are a checksum, and a decoder may be done a few bytes before its coding ends.
    for at in range(len(coded) - 12):
        cut = read([coded[:at]], coding=coding)
        assert not cut.finished, at
        assert not cut.failed, at
        assert cut.gave_up is None, at


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_reply_that_is_not_coded_as_it_says_is_no_message(coding):
    reading = read([b"\xff" + reply("crlf.sse")], coding=coding)
    assert reading.failed
    assert reading.error_type == "not_json"
    assert reading.gave_up.startswith("broken content coding")


def test_garbage_after_a_whole_coded_stream_takes_nothing_back():
    reading = read([gzip.compress(reply("crlf.sse")), b"garbage"], coding="gzip")
    assert (reading.finished, reading.failed, reading.usage) == (True, False, expected("crlf.sse").usage)


def test_a_coding_nobody_knows_ends_metering_and_fails_nothing():
    reading = read([reply("crlf.sse")], coding="lzma")
    assert reading == Reading(gave_up="unknown content coding 'lzma'")


def test_every_field_of_a_reading_occurs_in_some_transcript():
    seen = {field for name in NAMES for field in Reading.__struct_fields__ if getattr(expected(name), field) != getattr(Reading(), field)}
    assert seen == set(Reading.__struct_fields__) - {"gave_up", "is_unmetered"}
