"""What the soak asks for: each kind of request with the gateway's side of it, and what agent and ledger must see.

Both sides make a reply from the same seed, so that what the agent reads can be compared with what the gateway sent.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

#: Longer than any sound reply of this gateway keeps silent, however busy the machine is.
SILENCE_SECONDS = 4
LARGE_BYTES = 1 << 20

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Kind:
    """`row`: columns that the ledger must hold, None if it must have no row.  `code`: the sidecar's own error."""

    name: str
    weight: int
    row: Mapping[str, object] | None
    status: int = 200
    code: str | None = None
    is_fault: bool = False
    target: bytes = b"/v1/messages"


COMPLETE = {"outcome": "complete", "status": 200}
CUT = {"outcome": "upstream_truncated", "status": 200}

KINDS = {
    kind.name: kind
    for kind in (
        Kind("stream", 40, COMPLETE),
        Kind("message", 15, COMPLETE),
        Kind("compressed", 10, COMPLETE),
        Kind("large", 3, COMPLETE, target=b"/v1/files/large"),
        Kind("refused", 5, {"outcome": "upstream_error", "status": 429, "error_type": "rate_limit_error"}, status=429),
        Kind("cut", 5, CUT, is_fault=True),
        Kind("reset", 5, CUT, is_fault=True),
        Kind("closed", 5, {"error_type": "upstream_closed", "status": None}, status=502, code="upstream_closed", is_fault=True),
        Kind("garbage", 5, {"error_type": "bad_reply", "status": None}, status=502, code="bad_reply", is_fault=True),
        Kind("silent", 1, {"outcome": "timeout", "status": None}, status=504, code="timeout_first_byte", is_fault=True),
        Kind("leaves", 5, {"outcome": "client_cancelled", "status": 200}, is_fault=True),
        Kind("bad pass", 3, None, status=401, code="bad_pass", is_fault=True),
    )
}


@dataclass(frozen=True)
class Content:
    """One reply: SSE events, the same as one JSON body, and the tokens that it reports."""

    events: tuple[bytes, ...]
    message: bytes
    tokens: Mapping[str, int]

    @classmethod
    def of(cls, seed: int) -> Content:
        chance = random.Random(seed)
        tokens = {"input_tokens": chance.randrange(1, 5000), "output_tokens": chance.randrange(1, 500)}
        words = ["".join(chance.choices("abc dé€😀", k=chance.randrange(1, 80))) for _ in range(chance.randrange(1, 40))]
        start = {"model": "m", "id": f"msg_{seed}", "usage": {"input_tokens": tokens["input_tokens"], "output_tokens": 0}}
        said = [
            {"type": "message_start", "message": start},
            *({"type": "content_block_delta", "delta": {"text": word}} for word in words),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": tokens["output_tokens"]}},
            {"type": "message_stop"},
        ]
        whole = {"type": "message", "model": "m", "stop_reason": "end_turn", "usage": tokens, "content": "".join(words)}
        events = tuple(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in said)
        return cls(events, json.dumps(whole).encode(), tokens)


ERROR = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'


def body(kind: Kind, seed: int) -> bytes:
    """What the gateway has to say in full."""
    match kind.name:
        case "message":
            return Content.of(seed).message
        case "compressed":
            return gzip.compress(Content.of(seed).message, mtime=0)
        case "large":
            return random.Random(seed).randbytes(LARGE_BYTES)
        case "refused":
            return ERROR
        case _:
            return b"".join(Content.of(seed).events)


async def script(talk) -> None:
    """The gateway: does what `x-want` and `x-seed` say."""
    while incoming := await talk.request():
        kind, seed = KINDS[incoming.values(b"x-want")[0].decode()], int(incoming.values(b"x-seed")[0])
        match kind.name:
            case "closed":
                return talk.fin()
            case "garbage":
                await talk.send(b"* OK IMAP4rev1 ready\r\n")
                return talk.fin()
            case "silent":
                await talk.reader.read()
            case "message" | "compressed" | "refused":
                coding = b"Content-Encoding: gzip\r\n" if kind.name == "compressed" else b""
                said = body(kind, seed)
                await talk.send(b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (kind.status, coding, len(said), said))
            case _:
                if not await _stream(talk, kind, seed):
                    return None
    return None


async def _stream(talk, kind: Kind, seed: int) -> bool:
    """In chunks of any size, with pauses; False when the connection is of no more use."""
    said = body(kind, seed)
    chance = random.Random(-seed)
    # A reply that has said its stop reason is complete, whatever happens to the rest of it.
    most = len(said) if kind.row is COMPLETE else chance.randrange(1, said.index(b"event: message_delta"))
    await talk.send(STREAM_HEAD)
    sent = 0
    while sent < most:
        piece = said[sent : min(sent + chance.randrange(1, 1 + len(said) // 4 + 1), most)]
        sent += len(piece)
        await talk.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01)))
    match kind.name:
        case "cut":
            talk.fin()
        case "reset":
            talk.rst()
        case "leaves":
            await talk.reader.read()  # until the sidecar, too, has gone
        case _:
            await talk.send(b"0\r\n\r\n")
            return True
    return False
