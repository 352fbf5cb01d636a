"""What is found in place of a gateway, or of the proxy in front of it, when no connection to it comes about."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import socket
import ssl
from typing import TYPE_CHECKING

import trustme
from fakes.raw import Conversation, raw_gateway, reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: The name by which gateways behind a proxy are called; a loopback name would never go through one.
BEHIND_PROXY = "gateway.example"
NAMES = ("127.0.0.1", BEHIND_PROXY)


@functools.cache
def authority() -> trustme.CA:
    """The CA that the sidecar is told to trust."""
    return trustme.CA()


@functools.cache
def certificate(kind: str = "sound") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer = trustme.CA() if kind == "unknown CA" else authority()
    names = ("other.example",) if kind == "another name" else NAMES
    year = dt.timedelta(days=365)
    expired = {"not_before": dt.datetime.now(dt.UTC) - 2 * year, "not_after": dt.datetime.now(dt.UTC) - year} if kind == "expired" else {}
    issuer.issue_cert(*names, **expired).configure_cert(context)
    return context


@contextlib.asynccontextmanager
async def peer(kind: str) -> AsyncIterator[tuple[str, int]]:
    """Where it is: host and port."""
    match kind:
        case "nowhere":
            yield "nowhere.invalid", 80
        case "nobody":
            with socket.create_server(("127.0.0.1", 0)) as gone:
                port = gone.getsockname()[1]
            yield "127.0.0.1", port
        case "full":
            with _full() as port:
                yield "127.0.0.1", port
        case "another name" | "expired" | "unknown CA":
            async with raw_gateway(_listens, ssl=certificate(kind)) as there:
                yield "127.0.0.1", there.port
        case _:
            async with raw_gateway(_SCRIPTS[kind]) as there:
                yield "127.0.0.1", there.port


@contextlib.contextmanager
def _full():
    """A listener whose queue is full and which accepts nobody: the kernel leaves a further connection unanswered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def _listens(talk: Conversation) -> None:
    await talk.reader.read()


async def _hangs_up(talk: Conversation) -> None:
    await talk.reader.read(1)
    talk.fin()


async def _resets(talk: Conversation) -> None:
    await talk.reader.read(1)
    talk.rst()


def _says(data: bytes):
    async def script(talk: Conversation) -> None:
        await talk.reader.read(1)
        await talk.send(data)
        await talk.reader.read()

    return script


_SCRIPTS = {
    "silent": _listens,
    "hangs up": _hangs_up,
    "resets": _resets,
    "speaks plain": _says(reply(b"speak up", status=b"400 Bad Request")),
    "says 407": _says(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
    "says 502": _says(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
    "speaks SSH": _says(b"SSH-2.0-OpenSSH_9.2\r\n"),
}
