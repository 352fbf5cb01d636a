from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.wire.chunk import BEGINNINGS, LONGEST, as_chunk, contents


def is_recognised(data: bytes) -> bool:
    return len(data) <= LONGEST and data.startswith(BEGINNINGS[len(data)]) and data.endswith(b"\r\n")


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 159, 160, 255, 256, 2041])
def test_a_chunk_is_recognised_in_either_case_and_opened_again(size):
    data = b"x" * size
    made = as_chunk(data)
    assert made == b"%x\r\n" % size + data + b"\r\n"
    for whole in (made, b"%X\r\n" % size + data + b"\r\n"):
        assert is_recognised(whole)
        assert contents([whole]) == data


def test_what_is_longer_is_not_recognised():
    assert is_recognised(as_chunk(b"x" * (LONGEST - 7)))
    assert not is_recognised(as_chunk(b"x" * (LONGEST - 6)))


def test_several_are_opened_in_their_order():
    assert contents([as_chunk(b"a\n"), as_chunk(b"\r\nb" * 99), as_chunk(b"3\r\nabc\r\n")]) == b"a\n" + b"\r\nb" * 99 + b"3\r\nabc\r\n"
    assert contents([]) == b""


ODD = st.sampled_from([b"1", b"A", b"a", b"0", b"\r\n", b"\n", b"5\r\n", b";x", b" ", b"+", b"0x"])


@given(st.lists(ODD | st.binary(max_size=20), max_size=8).map(b"".join))
@example(b"")
@example(b"0\r\n\r\n")
@example(b"1\r\nx\r\n1\r\ny\r\n")
@example(b"05\r\nhello\r\n")
@example(b"5 \r\nhello\r\n")
@example(b"5;a\r\nhello\r\n")
@example(b"5\r\nhello\n\n")
@example(b"10\r\n" + b"x" * 15 + b"\r\n")
def test_nothing_else_is_taken_for_a_chunk(data):
    size = re.match(rb"([1-9a-fA-F][0-9a-fA-F]*)\r\n", data)
    is_one = size is not None and data.endswith(b"\r\n") and len(data) == size.end() + int(size[1], 16) + 2
    # A size of mixed case is a chunk, too, but nobody writes it.
    assert is_recognised(data) == (is_one and size is not None and size[1] in (size[1].lower(), size[1].upper()))
