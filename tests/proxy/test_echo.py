"""A secret in an error reply is found however the reply is cut and coded, and nothing is taken for one that is none."""

from __future__ import annotations

import gzip

import pytest

from sidecar.proxy.echo import Echo

KEY = "vck_0123456789abcdef"
PLAIN = f'{{"error":"invalid key {KEY}, try another"}}'.encode()


@pytest.mark.parametrize("size", range(1, len(PLAIN) + 1))
@pytest.mark.parametrize(("coding", "data"), [("", PLAIN), ("gzip", gzip.compress(PLAIN))], ids=["plain", "gzip"])
def test_it_is_found_in_slices_of_every_size(coding, data, size):
    echo = Echo(["another-secret", KEY], coding)
    for start in range(0, len(data), size):
        echo.feed(data[start : start + size])
    assert echo.found


def test_it_is_found_in_a_header_field():
    echo = Echo([KEY], "")
    echo.field(b"key=" + KEY.encode())
    assert echo.found


@pytest.mark.parametrize(
    ("secrets", "coding", "data"),
    [([KEY], "", PLAIN.replace(b"def", b"deg")), ([], "", PLAIN), (["", "the"], "", b"the error"), ([KEY], "gzip", PLAIN)],
    ids=["another key", "no secrets", "too short for one", "a coding that is broken"],
)
def test_what_is_no_secret_is_not_found(secrets, coding, data):
    echo = Echo(secrets, coding)
    for byte in data:
        echo.feed(bytes([byte]))
    assert not echo.found
