"""An agent of raw bytes that reads to the end, whichever end it is, and can tell FIN from RST."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faults.events import Framing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass
class Heard:
    """Every byte that came; `is_reset` if the connection did not end politely."""

    data: bytes = b""
    is_reset: bool = False


@dataclass
class Message:
    """What these bytes mean; `is_whole`: the body came to the end that its framing promises."""

    status: int
    fields: dict[bytes, bytes] = field(default_factory=dict)
    framing: Framing = Framing.CLOSE
    body: bytes = b""
    is_whole: bool = False

    @property
    def own_error_type(self) -> str:
        """Of an answer of the sidecar's own.  Fails if it is none."""
        envelope = json.loads(self.body)
        assert envelope["type"] == "error"
        assert envelope["error"]["message"].startswith("sidecar: ")
        return envelope["error"]["type"]


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[socket.socket]:
    """A bare socket: a stream reader would drop what was still unread when a reset came."""
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield sock
    finally:
        sock.close()


async def say(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # an answer may come before everything is said
        await asyncio.get_running_loop().sock_sendall(sock, data)


async def listen(sock: socket.socket, on_data: Callable[[bytes], None]) -> Heard:
    """`on_data` gets all bytes up to now."""
    heard = Heard()
    try:
        while data := await asyncio.get_running_loop().sock_recv(sock, 65536):
            heard.data += data
            on_data(heard.data)
    except ConnectionError:
        heard.is_reset = True
    return heard


def understood(heard: Heard) -> Message | None:
    head, found, rest = heard.data.partition(b"\r\n\r\n")
    if not found:
        assert not heard.data, "half a head"
        return None
    line, *lines = head.split(b"\r\n")
    fields = {name.lower(): value for name, value in (each.split(b": ", 1) for each in lines)}
    message = Message(int(line.split(b" ")[1]), fields)
    if fields.get(b"transfer-encoding") == b"chunked":
        message.framing = Framing.CHUNKED
        message.body, message.is_whole = _unchunked(rest)
    elif b"content-length" in fields:
        message.framing = Framing.LENGTH
        message.body, message.is_whole = rest, len(rest) == int(fields[b"content-length"])
    else:
        message.body, message.is_whole = rest, not heard.is_reset
    return message


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while data:
        size_line, _, data = data.partition(b"\r\n")
        size = int(size_line, 16)
        if size == 0:
            return body, data == b"\r\n"
        body += data[:size]
        data = data[size + 2 :]
    return body, False
