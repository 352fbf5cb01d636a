from __future__ import annotations

import gzip
import sys
import zlib

import brotli
import pytest

from sidecar.wire.coding import STEP, CodingError, Decoder, DecodingStopped, codings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = b"".join(b"event: content_block_delta\ndata: %d\n\n" % number for number in range(3000))


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


CODED = {
    ("gzip",): gzip.compress(PLAIN),
    ("x-gzip",): gzip.compress(PLAIN[:100]) + gzip.compress(b"") + gzip.compress(PLAIN[100:]) + b"\0\0\0",
    ("deflate",): zlib.compress(PLAIN),
    ("deflate", "identity"): raw_deflate(PLAIN),
    ("br",): brotli.compress(PLAIN),
    ("zstd",): zstd.compress(PLAIN[:100]) + zstd.compress(b"") + zstd.compress(PLAIN[100:]),
    ("gzip", "zstd", "br"): brotli.compress(zstd.compress(gzip.compress(PLAIN))),
}


def decoded(names, pieces, **how) -> bytes:
    decoder = Decoder(codings(", ".join(names)), **how)
    return b"".join(plain for piece in pieces for plain in decoder.feed(piece))


@pytest.mark.parametrize("piece", [1, 7, 4096, 10**9])
@pytest.mark.parametrize("names", CODED, ids=", ".join)
def test_every_coding_is_undone_in_any_slices(names, piece):
    coded = CODED[names]
    assert decoded(names, (coded[at : at + piece] for at in range(0, len(coded), piece))) == PLAIN


@pytest.mark.parametrize("names", CODED, ids=", ".join)
def test_what_a_truncated_reply_held_is_a_beginning_of_it(names):
    coded = CODED[names]
    for at in range(0, len(coded), 97):
        assert PLAIN.startswith(decoded(names, [coded[:at]]))


def test_a_flushed_event_comes_out_when_it_comes_in():
    deflate = zlib.compressobj(wbits=31)
    decoder = Decoder(("gzip",))
    for number in range(5):
        event = b"data: %d\n\n" % number
        assert b"".join(decoder.feed(deflate.compress(event) + deflate.flush(zlib.Z_SYNC_FLUSH))) == event


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_garbage_is_said_to_be_broken(name):
    with pytest.raises(CodingError):
        decoded([name], [b"\xff<html>not coded at all</html>"])


@pytest.mark.parametrize(
    ("name", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress), ("zstd", zstd.compress)]
)
def test_a_bomb_is_decoded_in_steps_and_no_further_than_the_limit(name, compress):
    sizes = []
    with pytest.raises(DecodingStopped, match="more than 1000000 bytes"):
        sizes.extend(len(piece) for piece in Decoder((name,), limit=1_000_000).feed(compress(bytes(8_000_000))))
    assert sum(sizes) <= 1_000_000
    # brotli's limit is a soft one: it ends the block it is in.
    assert max(sizes) <= 4 * STEP


def test_an_unknown_coding_stops():
    with pytest.raises(DecodingStopped, match="'lzma'"):
        decoded(["gzip", "lzma"], [b"x"])


@pytest.mark.parametrize(
    ("value", "names"),
    [(None, ()), ("", ()), ("identity", ()), ("GZIP", ("gzip",)), (" gzip ,identity,br", ("gzip", "br"))],
)
def test_names_are_read_in_the_order_in_which_they_were_applied(value, names):
    assert codings(value) == names
