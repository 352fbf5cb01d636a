"""Every reply in `tests/transcripts` gives the reading beside it, however its bytes arrive.  A sidecar file holds what differs from
an empty reading; its first line says what the transcript is about."""

from __future__ import annotations

import gzip
import sys
import tomllib
import zlib
from dataclasses import fields
from pathlib import Path

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.ledger.entry import Kind
from sidecar.metering.meter import Meter
from sidecar.metering.reading import Reading, Usage, UsageSource

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FOLDER = Path(__file__).parent.parent / "transcripts"
NAMES = sorted(path.name.removesuffix(".toml") for path in FOLDER.glob("*.toml"))
#: What a stream says last; before one of these is whole nothing may count as finished.
LAST_WORDS = (
    b'{"type":"message_stop"}',
    b'"message_stop","usage":{"input_tokens":31,"output_tokens":9}}',
    b"message_stop\ndata: {}",
    b"[DONE]",
)


def reply(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def expected(name: str) -> Reading:
    values = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
    return Reading(**values | {"usage": Usage(**values.get("usage", {})), "usage_source": UsageSource(values["usage_source"])})


def read(pieces, coding: str | None = None) -> Reading:
    meter = Meter(Kind.INFERENCE, coding)
    for piece in pieces:
        meter.feed(piece)
    return meter.reading()


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
    replies = {path.name for path in FOLDER.iterdir() if path.suffix != ".toml" and not path.name.startswith(".")}
    assert replies == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_gives_its_reading(name):
    assert read([reply(name)]) == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_come_one_by_one_give_the_same(name):
    data = reply(name)
    assert read(data[at : at + 1] for at in range(len(data))) == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_split_gives_the_same(name):
    data, reading = reply(name), expected(name)
    for at in range(len(data)):
        assert read([data[:at], data[at:]]) == reading, at


@given(st.data())
def test_any_slices_give_the_same(data):
    name = data.draw(st.sampled_from(NAMES))
    whole = reply(name)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    assert read(whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)) == expected(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".sse")])
def test_a_stream_cut_anywhere_never_counts_as_more_than_it_is(name):
    data, reading = reply(name), expected(name)
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    last = next((words for words in LAST_WORDS if words in text), None)
    for at in range(len(data)):
        cut = read([data[:at]])
        assert cut.gave_up is None
        assert not cut.finished or (last and last in data[:at].replace(b"\r\n", b"\n").replace(b"\r", b"\n")), at
        assert not cut.failed or reading.failed, at
        assert cut.empty == (not data[:at].removeprefix(b"\xef\xbb\xbf").strip()) or data[:at] in b"\xef\xbb\xbf", at


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".json")])
def test_a_body_cut_anywhere_is_neither_finished_nor_refused(name):
    data = reply(name).rstrip()
    for at in range(len(data)):
        cut = read([data[:at]])
        assert (cut.finished, cut.failed, cut.usage_source, cut.gave_up) == (False, False, UsageSource.NONE, None), at


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", NAMES)
def test_every_coding_gives_the_same(name, coding):
    coded = CODINGS[coding](reply(name))
    assert read([coded], coding) == expected(name)
    assert read((coded[at : at + 7] for at in range(0, len(coded), 7)), coding) == expected(name)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_stream_cut_anywhere_never_counts_as_finished(coding):
    coded = CODINGS[coding](reply("no-last-blank-line.sse"))
    # The last eight bytes of gzip are a checksum, and a decoder may be done a few bytes before its coding ends.
    for at in range(len(coded) - 12):
        cut = read([coded[:at]], coding)
        assert not cut.finished, at
        assert not cut.failed, at
        assert cut.gave_up is None, at


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_reply_that_is_not_coded_as_it_says_is_no_message(coding):
    reading = read([b"\xff" + reply("crlf.sse")], coding)
    assert reading.failed
    assert reading.error_type == "not_json"
    assert reading.gave_up.startswith("broken content coding")


def test_garbage_after_a_whole_coded_stream_takes_nothing_back():
    reading = read([gzip.compress(reply("crlf.sse")), b"garbage"], "gzip")
    assert (reading.finished, reading.failed, reading.usage) == (True, False, expected("crlf.sse").usage)


def test_a_coding_nobody_knows_ends_metering_and_fails_nothing():
    reading = read([reply("crlf.sse")], "lzma")
    assert reading == Reading(gave_up="unknown content coding 'lzma'")


def test_every_field_of_a_reading_occurs_in_some_transcript():
    seen = {
        field.name for name in NAMES for field in fields(Reading) if getattr(expected(name), field.name) != getattr(Reading(), field.name)
    }
    assert seen == {field.name for field in fields(Reading)} - {"gave_up"}
