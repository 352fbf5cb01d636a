"""Every recorded reply goes through a whole sidecar, in several manners: the client reads its bytes, the ledger has its row."""

from __future__ import annotations

import asyncio
import gzip
from urllib.parse import parse_qs

import brotli
import pytest
from fakes import transcripts
from fakes.raw import Conversation, raw_gateway
from fakes.running import ask, one_gateway, running

AT_ONCE = 24


def chunked(data: bytes, size: int = 97) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(data[at : at + size]), data[at : at + size]) for at in range(0, len(data), size)]


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
#: How a reply travels: its bytes -> what is written, and what the client gets of it.
MANNERS = {
    "length": lambda data: ([HEAD + b"Content-Length: %d\r\n\r\n" % len(data), data], data),
    "chunked": lambda data: ([CHUNKED + b"\r\n", *chunked(data), b"0\r\n\r\n"], data),
    "broken-off": lambda data: ([CHUNKED + b"\r\n", *chunked(data)], data),
    "gzip": lambda data: ([CHUNKED + b"Content-Encoding: gzip\r\n\r\n", *chunked(packed(data)), b"0\r\n\r\n"], packed(data)),
    "two-codings": lambda data: (
        [CHUNKED + b"Content-Encoding: gzip\r\nContent-Encoding: br\r\n\r\n", *chunked(coded := brotli.compress(packed(data))), b"0\r\n\r\n"],
        coded,
    ),
}  # fmt: skip
COLUMNS = {
    "model": "model_served",
    "stop_reason": "stop_reason",
    "message_id": "message_id",
    "service_tier": "service_tier",
    "speed": "speed",
    "inference_geo": "inference_geo",
    "iterations": "iterations",
    "usage_source": "usage_source",
    "reported_cost_usd": "reported_cost_usd",
}
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "thinking": "thinking_tokens",
    "web_search_requests": "web_search_requests",
    "web_fetch_requests": "web_fetch_requests",
}


def expected(name: str, manner: str) -> dict[str, object]:
    """The row's columns, by the transcript's own words and the contract's order of outcomes."""
    told = transcripts.told(name)
    row = {column: told.get(key) for key, column in COLUMNS.items()}
    row |= {column: told.get("usage", {}).get(key) for key, column in TOKENS.items()}
    row |= {"path": transcripts.path(name), "status": 200, "outcome": "upstream_truncated", "error_type": None}
    if told.get("failed"):
        row |= {"outcome": "upstream_error", "error_type": told.get("error_type", "unknown_error")}
    elif told.get("empty") and manner != "broken-off":
        row |= {"outcome": "upstream_error", "error_type": "not_json"}
    elif told.get("finished"):
        row["outcome"] = "complete"
    return row


async def play(talk: Conversation) -> None:
    while request := await talk.request():
        asked = parse_qs(request.target.partition(b"?")[2].decode())
        written, _ = MANNERS[asked["manner"][0]](transcripts.reply(asked["name"][0]))
        await talk.send(*written)
        if asked["manner"] == ["broken-off"]:
            talk.fin()
            return


@pytest.mark.parametrize("manner", MANNERS)
async def test_every_reply_arrives_whole_and_its_row_is_right(tmp_path, manner):
    async with raw_gateway(play) as gateway, running(tmp_path / "home", one_gateway(gateway.url)) as sidecar:
        limit = asyncio.Semaphore(AT_ONCE)

        async def through(name: str) -> None:
            target = f"{transcripts.path(name)}?name={name}&manner={manner}".encode()
            async with limit:
                reply = await ask(sidecar, b"x-sidecar-session: " + name.encode(), target=target)
            assert reply.body == MANNERS[manner](transcripts.reply(name))[1], name
            assert reply.is_whole == (manner != "broken-off"), name

        await asyncio.gather(*map(through, transcripts.NAMES))
        rows = {row["session"]: row for row in await sidecar.rows(len(transcripts.NAMES))}
    for name in transcripts.NAMES:
        wanted = expected(name, manner)
        assert {column: rows[name][column] for column in wanted} == wanted, name
