"""Replies as bytes, in whatever slices: what is read of them, where they end, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import Refusal
from sidecar.wire.message import MAX_HEAD, Message

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "chunked": CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    "chunk extensions and trailers": CHUNKED + b"1;x=y\r\na\r\n2\r\nbc\r\n0\r\nX-T: 1\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "a space after the chunk size": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "interim replies first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-T: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "no reason": b"HTTP/1.1 529 \r\nContent-Length: 3\r\n\r\nabc",
    "no reason and no space": b"HTTP/1.1 529\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
}

BAD = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a status line": b"HTTP/1.",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "control byte in a field": b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "control byte in the reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "gzip as transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "gzip, then chunked, in two fields": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "switching protocols without saying to what": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}

CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "chunked": CHUNKED + b"3\r\nabc\r\n",
    "inside a chunk": CHUNKED + b"9\r\nabc",
    "bare line feeds between chunks": b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n3\n\ndef\r\n0\r\n\r\n",
    "a bad chunk size": CHUNKED + b"3\r\nabc\r\nzz\r\n",
}


def slices(data: bytes, step: int) -> list[bytes]:
    return [data[start : start + step] for start in range(0, len(data), step)]


def read(*reads: bytes, is_head: bool = False) -> Message:
    message = Message(is_head=is_head)
    for data in reads:
        message.feed(data)
    return message


def read_to_the_end(message: Message, reads: list[bytes]) -> str | None:
    """The code of what is wrong."""
    try:
        for data in reads:
            message.feed(data)
        message.end(politely=True)
    except Refusal as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_every_ordinary_form_is_read(data, step):
    message = read(*slices(data, step))
    assert (b"".join(message.body), message.is_complete) == (b"abc", True)
    assert (message.status, message.reason) == ((529, b"") if b"529" in data else (200, b"OK"))
    assert b"x-t" not in message.named  # neither from an interim reply nor from a trailer


def test_fields_stay_as_they_came():
    message = read(b"HTTP/1.1 200 \xe4h\r\nX-A: 1\r\nx-a:caf\xe9 \t\r\nX-A:\r\nContent-Length: 0\r\n\r\n")
    assert message.reason == b"\xe4h"
    assert message.fields == [(b"X-A", b"1"), (b"x-a", b"caf\xe9"), (b"X-A", b""), (b"Content-Length", b"0")]
    assert [*message.named[b"x-a"]] == [b"1", b"caf\xe9", b""]


@given(st.sampled_from([*WHOLE.values(), *BAD.values(), *CUT.values()]), st.sets(st.integers(1, 160), max_size=8))
def test_slices_make_no_difference(data, cuts):
    at = sorted(cut for cut in cuts if cut < len(data))
    results = []
    for reads in ([data], [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]):
        message = Message(is_head=False)
        fault = read_to_the_end(message, reads)
        head = (message.status, message.reason, message.fields) if message.has_head else None
        results.append((head, b"".join(message.body), fault))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("data", "is_head"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (CHUNKED, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", False),
    ],
)
def test_what_has_no_body_is_complete_with_its_head(data, is_head):
    assert not read(data[:-1], is_head=is_head).is_complete
    assert read(data, is_head=is_head).is_complete


@pytest.mark.parametrize(
    ("reads", "is_reusable"),
    [
        ([WHOLE["length"]], True),
        ([WHOLE["chunked"]], True),
        ([WHOLE["length"][:-1]], False),
        ([WHOLE["HTTP/1.0"]], False),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"], False),
        ([WHOLE["length"] + b"HTTP/1.1 200 OK\r\n"], False),
        ([WHOLE["length"], b"x"], False),
        ([CHUNKED + b"0\r\n\r\n" + WHOLE["length"]], False),
    ],
)
def test_only_whole_messages_with_nothing_behind_them_leave_a_connection_fit(reads, is_reusable):
    assert read(*reads).is_reusable == is_reusable


def test_bytes_behind_the_end_are_not_of_the_body():
    message = read(WHOLE["length"] + WHOLE["length"], b"more")
    assert (b"".join(message.body), message.is_complete) == (b"abc", True)


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
@pytest.mark.parametrize("step", [1, 10_000])
def test_what_is_no_reply_is_refused(data, step):
    message = Message(is_head=False)
    assert read_to_the_end(message, slices(data, step)) == "bad_reply"
    assert (message.has_head, message.body) == (False, [])


def test_a_head_may_be_large_and_not_without_end():
    line = b"X: " + b"y" * 1019 + b"\r\n"
    assert read(b"HTTP/1.1 200 OK\r\n", *[line] * 250, b"Content-Length: 0\r\n\r\n").is_complete
    with pytest.raises(Refusal, match="a head of more than 256 KiB"):
        read(b"HTTP/1.1 200 OK\r\n", *[line] * (MAX_HEAD // len(line)))


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
@pytest.mark.parametrize("step", [1, 10_000])
def test_what_came_before_a_break_is_there(data, step):
    message = Message(is_head=False)
    assert read_to_the_end(message, slices(data, step)) == "bad_reply"
    assert (b"".join(message.body), message.is_complete) == (b"abc", False)


@pytest.mark.parametrize(
    ("data", "politely", "code"),
    [
        (b"", True, "upstream_closed"),
        (b"", False, "upstream_closed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", True, "bad_reply"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", True, None),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", False, "bad_reply"),
        (WHOLE["chunked"], False, None),
    ],
)
def test_the_end_of_the_connection_is_the_end_of_a_message_without_length(data, politely, code):
    message = read(data)
    if code is None:
        message.end(politely=politely)
        assert (b"".join(message.body), message.is_complete, message.is_reusable) == (b"abc", True, False)
    else:
        with pytest.raises(Refusal) as refused:
            message.end(politely=politely)
        assert (refused.value.code, message.is_complete) == (code, False)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        (b"", None),
        (b"Keep-Alive: timeout=5\r\n", 5),
        (b"keep-alive: max=100, Timeout = 30\r\n", 30),
        (b"Keep-Alive: max=5\r\n", None),
        (b"Keep-Alive: timeout=\r\n", None),
        (b"Keep-Alive: xtimeout=5\r\n", None),
    ],
)
def test_how_long_the_gateway_keeps_the_connection_is_its_word(fields, seconds):
    assert read(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n").idle_seconds == seconds


@pytest.mark.parametrize(
    ("data", "is_at_chunk"),
    [
        (CHUNKED, True),
        (CHUNKED[:-2], False),
        (CHUNKED + b"1\r\na\r\n", True),
        (CHUNKED + b"1\r\na", False),
        (CHUNKED + b"1\r\n", False),
        (CHUNKED + b"1", False),
        (CHUNKED + b"4\r\na\r\n", False),
        (CHUNKED + b"0\r\n", False),
        (CHUNKED + b"0\r\nX: 1\r\n", False),
        (CHUNKED + b"0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n1\r\na\r\n", False),
    ],
)
def test_where_a_chunk_begins_is_known(data, is_at_chunk):
    assert read(data).is_at_chunk == is_at_chunk
    assert read(*slices(data, 1)).is_at_chunk in (is_at_chunk, False)  # one that a single byte precedes may go the longer way
