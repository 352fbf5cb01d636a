"""The requests that agents send and the replies of the stand-in gateway, as bytes on the wire."""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.scenarios import Scenario

#: Replaced by the moment of writing in paced replies: gateway.c.
_SESSION = "0f8fad5b-d9cb-469f-a165-70867728950e"
_STAMP = "@" + "0" * 19
_USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 418, "cache_read_input_tokens": 15023, "output_tokens": 1}
_MESSAGE = {"id": "msg_01Bench", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [], "usage": _USAGE}


@dataclass(frozen=True, slots=True)
class Recording:
    """A reply: the pieces in which it is written, head and framing included, and the body that must arrive."""

    name: str
    pieces: tuple[bytes, ...]
    body: bytes
    events: int = 0
    interval_ms: int = 0

    def write(self, folder: str) -> str:
        """The gateway's argument for this reply."""
        path = os.path.join(folder, f"{self.name}.reply")
        _write(path, b"".join(struct.pack(">I", len(piece)) + piece for piece in self.pieces))
        _write(os.path.join(folder, f"{self.name}.body"), self.body)
        return f"{self.name}:{self.interval_ms}:{path}"


def recordings() -> dict[str, Recording]:
    message = json.dumps({**_MESSAGE, "content": [{"type": "text", "text": "word " * 100}], "stop_reason": "end_turn"}).encode()
    plain = _head("application/json", f"Content-Length: {len(message)}") + message
    made = (
        Recording("json", (plain,), message),
        Recording("splice", (plain,), message),
        stream("sse100", 100),
        stream("sse1000", 1000),
        stream("gzip100", 100, is_gzip=True),
        stream("paced", 100, interval_ms=20),
        stream("slow", 15, interval_ms=200),
    )
    return {recording.name: recording for recording in made}


def stream(name: str, count: int, *, interval_ms: int = 0, is_gzip: bool = False) -> Recording:
    """A message of `count` events, one chunk and one piece each; the head goes with the first, the end with the last."""
    events = list(_gzipped(_events(count)) if is_gzip else _events(count))
    fields = ["Cache-Control: no-cache", "Transfer-Encoding: chunked", *(["Content-Encoding: gzip"] if is_gzip else [])]
    pieces = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    pieces[0] = _head("text/event-stream; charset=utf-8", *fields) + pieces[0]
    pieces[-1] += b"0\r\n\r\n"
    return Recording(name, tuple(pieces), b"".join(events), count, interval_ms)


def request(scenario: Scenario, path: str, headers: Iterable[str]) -> bytes:
    """A whole request of about the scenario's size, with the headers that Claude Code 2.1 sends, and its body's members in its order."""
    turn = {"role": "user", "content": [{"type": "text", "text": 'def f(x):\n    return "a\\tb"\n' * 30}]}
    conversation = {
        "model": f"bench-{scenario.reply}",
        "messages": [turn],
        "system": [{"type": "text", "text": "You are a coding agent. " * 20, "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": json.dumps({"device_id": "5" * 64, "account_uuid": "", "session_id": _SESSION})},
        "max_tokens": 32000,
        "stream": scenario.reply not in {"json", "splice"},
    }
    missing = scenario.request_bytes - len(_json(conversation))
    conversation["messages"] = [turn] * (1 + max(missing // len(_json(turn)), 0))
    body = _json(conversation)
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: claude-cli/2.1.197 (external, cli)",
        "Accept: application/json",
        "Content-Type: application/json",
        "anthropic-version: 2023-06-01",
        "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14",
        "x-app: cli",
        f"X-Claude-Code-Session-Id: {_SESSION}",
        *headers,
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _events(count: int) -> list[bytes]:
    """Five of them frame the message, the others are text."""
    text = {"type": "text_delta", "text": f"some words {_STAMP} "}
    values: list[dict[str, object]] = [
        {"type": "message_start", "message": _MESSAGE},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": text} for _ in range(count - 5)),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": count}},
        {"type": "message_stop"},
    ]
    return [f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values]


def _gzipped(events: list[bytes]) -> Iterable[bytes]:
    """Flushed behind every event, as a gateway that streams has to."""
    compressor = zlib.compressobj(wbits=31)
    for event in events[:-1]:
        yield compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.compress(events[-1]) + compressor.flush()


def _head(content_type: str, *fields: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", "Date: Thu, 01 Jan 2026 00:00:00 GMT", f"Content-Type: {content_type}", "request-id: req_011Bench", *fields)
    return "\r\n".join((*lines, "", "")).encode()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
