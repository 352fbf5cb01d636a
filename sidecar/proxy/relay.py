"""A gateway's reply on its way to the agent: every byte as it comes, a copy to the meter, and an end that tells the truth."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from sidecar.ledger.entry import Ending
from sidecar.proxy.connection import IdleTimeout, ReplyCut
from sidecar.wire.fields import ONLY_OF_THE_GATEWAY, end_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.proxy.connection import Reply

#: Fields that aiohttp adds to a reply which lacks them; `strip_additions` takes them out again.
_ADDED = ("Date", "Server", "Content-Type")
#: On such a reply: the names the gateway itself sent, lower case.
SENT_BY_GATEWAY = web.ResponseKey("sent_by_gateway", frozenset[str])


class Progress:
    """How far a reply has come: body bytes that reached the agent's connection, and when (monotonic) the first one arrived."""

    def __init__(self) -> None:
        self.bytes_out = 0
        self.first_byte_at: float | None = None


def reply_to_agent(reply: Reply, on_dropped: Callable[[str], None]) -> web.StreamResponse:
    """The gateway's status and fields, ready to be sent.

    The server library writes UTF-8 only: a field with other octets (legal, RFC 9110 section 5.5, and never seen) would arrive
    changed, so it is left out and `on_dropped` gets its name.  A reason phrase, which means nothing, goes without such octets.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in end_to_end(reply.fields, ONLY_OF_THE_GATEWAY):
        try:
            headers.add(name.decode("ascii"), value.decode())
        except UnicodeDecodeError:
            on_dropped(name.decode("latin-1"))
    response = web.StreamResponse(status=reply.status, reason=reply.reason.decode("utf-8", "ignore"), headers=headers)
    response[SENT_BY_GATEWAY] = frozenset(name.lower() for name in headers)
    return response


async def strip_additions(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Signal handler: aiohttp has just added its own fields; a relayed reply keeps only what the gateway sent."""
    sent = response.get(SENT_BY_GATEWAY)
    if sent is None:
        response.headers.pop("Server", None)
        return
    for name in _ADDED:
        if name.lower() not in sent:
            response.headers.pop(name, None)


async def relay(
    reply: Reply, response: web.StreamResponse, progress: Progress, tee: Callable[[bytes], None], idle_seconds: float | None
) -> Ending:
    """Move the body.  The two sides fail apart: what `read` raises is the gateway's doing, what `write` raises the agent's."""
    while True:
        try:
            chunk = await reply.read(idle_seconds)
        except ReplyCut:
            return Ending.CUT
        except IdleTimeout:
            return Ending.TIMEOUT
        if not chunk:
            return Ending.CLEAN
        if progress.first_byte_at is None:
            progress.first_byte_at = time.monotonic()
        try:
            await response.write(chunk)
        except ConnectionError:
            return Ending.CLIENT_GONE
        finally:
            progress.bytes_out += len(chunk)
            tee(chunk)


def break_off(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """End the agent's connection so that the reply cannot be taken for a whole one.

    `close()` still sends what is buffered, and then neither the last chunk nor the promised length has come.  A reply that only the
    end of the connection ends (HTTP/1.0) needs a reset: there an ordinary end would look like success.
    """
    transport = request.transport
    if transport is None:
        return
    if "Transfer-Encoding" in response.headers or "Content-Length" in response.headers:
        transport.close()
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
