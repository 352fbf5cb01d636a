"""One streamed conversation, held as an agent holds it: the local address, a pass, a session of its own."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = "/v1/messages?beta=true"
_SAID = "What becomes of my words on their way to the model?"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the agent sent and got.  `usage` is what the gateway reported last."""

    session: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    text: str
    usage: dict[str, object]


async def converse(url: str, pass_: str, show: Callable[[str], None]) -> Conversation:
    """`show` gets the answer's text piece by piece, as it comes.  Raises aiohttp.ClientError."""
    session = str(uuid.uuid4())
    fields = (
        ("Authorization", f"Bearer {pass_}"),
        ("Content-Type", "application/json"),
        ("User-Agent", "sidecar-demo"),
        ("X-Claude-Code-Session-Id", session),
        ("anthropic-beta", "interleaved-thinking-2025-05-14"),
        ("anthropic-version", "2023-06-01"),
    )
    body = _request_body()
    text: list[str] = []
    usage: dict[str, object] = {}
    async with (
        aiohttp.ClientSession(skip_auto_headers=("Accept", "Accept-Encoding")) as client,
        client.post(url + TARGET, data=body, headers=fields) as reply,
    ):
        if reply.status != 200:
            show(await reply.text())
            return Conversation(session, fields, body, reply.status, "", usage)
        async for line in reply.content:
            if not line.startswith(b"data: "):
                continue
            match json.loads(line.removeprefix(b"data: ")):
                case {"delta": {"text": str(piece)}}:
                    text.append(piece)
                    show(piece)
                case {"type": "message_delta", "usage": dict(reported)}:
                    usage = reported
    return Conversation(session, fields, body, reply.status, "".join(text), usage)


def _request_body() -> bytes:
    """With spaces, an escape and a number form that no JSON library writes: a body written anew would differ."""
    system = [{"type": "text", "text": "Be brief and kind. " * 3000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    return (
        f'{{"model" : "claude-sonnet-4-5", "max_tokens":1e3,  "stream": true, "system": {json.dumps(system)},'
        f' "messages":[{{"role":"user", "content":{json.dumps(_SAID)} }}], "metadata":{{"note":"\\u0041gent"}} }}'
    ).encode()
