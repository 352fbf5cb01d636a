"""Plays one cell: a gateway that breaks in this one way, a sidecar of its own in front of it, an agent; and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from fakes.raw import Conversation, RawGateway, raw_gateway
from fakes.running import one_gateway, running
from fakes.tunnel import proxy
from faults.agent import Message, connected, listen, say, understood
from faults.events import Framing, coded, framed
from faults.peers import BEHIND_PROXY, certificate, peer
from faults.promises import SOON, Result, promised
from faults.table import PROXIED, TLS, Body, Cell, Fault, NoHead, NoUpload, NoWay, Sent, Then, Way

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fakes.running import Sidecar

#: More than all buffers between an agent and a gateway that does not read.
UPLOAD = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    cell: Cell
    promised: Result
    seen: Result
    seconds: float

    @property
    def differences(self) -> tuple[str, ...]:
        """One text for each promise that was not kept."""
        unlike = [
            f"{name}: {want!r} promised, {got!r} seen"
            for name in (each.name for each in fields(Result))
            if (want := getattr(self.promised, name)) != (got := getattr(self.seen, name))
        ]
        late = [f"it took {self.seconds:.1f} s"] if self.seconds > SOON else []
        return (*unlike, *late)


@dataclass
class Signals:
    """`arrived`: the gateway has the head of the request.  `delivered`: the agent has every byte that the gateway sent."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    delivered: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def staged(cell: Cell, home: Path, ca_file: Path) -> AsyncIterator[tuple[Sidecar, RawGateway | None, Signals]]:
    signals = Signals()
    async with contextlib.AsyncExitStack() as stack:
        gateway, config = await _gateway(cell, signals, ca_file, stack)
        yield await stack.enter_async_context(running(home, config)), gateway, signals


async def judged(cell: Cell, home: Path, ca_file: Path) -> Verdict:
    """`home` is the sidecar's own, `ca_file` holds the certificate of `authority()`."""
    async with staged(cell, home, ca_file) as (sidecar, gateway, signals):
        began = time.monotonic()
        async with asyncio.timeout(2 * SOON):
            message = await _asked(cell, sidecar, signals)
            rows = await sidecar.rows()
            if gateway is not None and not (isinstance(cell.fault, Body) and cell.fault.then is Then.END):
                await gateway.lost.wait()  # nothing is kept of a connection on which something went wrong
        seconds = time.monotonic() - began
        assert len(rows) == 1, rows
        return Verdict(cell, promised(cell), _result(message, rows[0], gateway.connections if gateway else 0), seconds)


async def _gateway(cell: Cell, signals: Signals, ca_file: Path, stack: contextlib.AsyncExitStack) -> tuple[RawGateway | None, str]:
    """The gateway, if there is one to speak of, and the sidecar's configuration."""
    scheme = "https" if cell.way in TLS else "http"
    more = "    allow_plaintext: true\n"
    if scheme == "https":
        more += f"    ca_file: {ca_file}\n"
    if not isinstance(cell.fault, NoWay):
        there = await stack.enter_async_context(raw_gateway(_script(cell, signals), ssl=certificate() if cell.way is Way.HTTPS else None))
        return there, one_gateway(there.url, more) + _limit(cell.fault)
    host, port = await stack.enter_async_context(peer(cell.fault.peer))
    if cell.way in PROXIED:
        is_at_proxy = cell.fault.is_proxy or cell.fault.peer in {"nowhere", "nobody", "full"}
        through = f"http://{host}:{port}" if is_at_proxy else (await stack.enter_async_context(proxy()))[0]
        more += f"    proxy: {through}\n"
        host, port = (BEHIND_PROXY, 443) if is_at_proxy else (BEHIND_PROXY, port)
    return None, one_gateway(f"{scheme}://{host}:{port}", more) + _limit(cell.fault)


def _limit(fault: Fault) -> str:
    """A limit for the faults that nothing else ends; all others have to end without one."""
    match fault:
        case NoWay(code="timeout_connect"):
            return "timeouts: {connect: 100ms}\n"
        case NoHead(code="timeout_first_byte"):
            return "timeouts: {first_byte: 100ms}\n"
        case Body(then=Then.STALL):
            return "timeouts: {idle: 100ms}\n"
    return ""


def _script(cell: Cell, signals: Signals):
    async def script(talk: Conversation) -> None:
        match cell.fault:
            case NoHead() as fault:
                if not fault.is_early:
                    await talk.request()
                await talk.send(fault.said)
                await _then(fault.then, talk)
            case NoUpload() as fault:
                # Left to itself, the system might take in all of the upload.
                talk.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                await talk.reader.readuntil(b"\r\n\r\n")
                signals.arrived.set()
                await talk.send(fault.answer)
                if fault.then is Then.FIN and talk.writer.can_write_eof():
                    talk.writer.write_eof()  # half of it only: to close with unread data is a reset
                elif fault.then is Then.FIN:
                    talk.fin()
                elif fault.then is Then.RST:
                    talk.rst()
                if fault.is_answered:
                    await signals.delivered.wait()  # until then not a byte more is taken
                await _gone(talk)
            case Body():
                await talk.request()
                await break_off(cell, talk, signals.delivered)

    return script


async def break_off(cell: Cell, talk: Conversation, delivered: asyncio.Event) -> None:
    """A gateway's reply in this cell, to a request that has been read."""
    await talk.send(_reply(cell.fault, cell))
    if cell.fault.then is Then.RST:  # it drops what the other side has not read yet: that is the network's doing, not ours
        await delivered.wait()
    await _then(cell.fault.then, talk, cell.framing)


def _reply(fault: Body, cell: Cell) -> bytes:
    pieces = coded(fault.pieces, cell.coding, is_last=fault.then is Then.END)
    body = framed(pieces, cell.framing)
    head = b"HTTP/1.1 " + fault.status + b"\r\n" + fault.fields
    if cell.coding == "gzip":
        head += b"Content-Encoding: gzip\r\n"
    if cell.framing is Framing.LENGTH:
        head += b"Content-Length: %d\r\n" % (len(body) + (0 if fault.then is Then.END else 99))
    elif cell.framing is Framing.CHUNKED:
        head += b"Transfer-Encoding: chunked\r\n"
        body += b"0\r\n\r\n" if fault.then is Then.END else b""
    return fault.interim + head + b"\r\n" + body + fault.surplus


async def _then(then: Then, talk: Conversation, framing: Framing | None = None) -> None:
    if then is Then.FIN or (then is Then.END and framing is Framing.CLOSE):
        talk.fin()
    elif then is Then.RST:
        talk.rst()
    else:
        if then is Then.GARBAGE:
            await talk.send(b"zz\r\n")
        await talk.reader.read()


async def _gone(talk: Conversation) -> None:
    """Until the other side has ended the connection; what it still sends is thrown away."""
    with contextlib.suppress(OSError):
        while await talk.reader.read(65536):
            pass


async def _asked(cell: Cell, sidecar: Sidecar, signals: Signals) -> Message | None:
    """What the agent got."""
    fault = cell.fault
    last = coded(fault.pieces, cell.coding, is_last=False)[-1:] if isinstance(fault, Body) else []
    awaited = last[0] if last else b"\r\n\r\n"
    size = UPLOAD if isinstance(fault, NoUpload) else 2
    async with connected(sidecar.port) as sock:
        saying = asyncio.ensure_future(say(sock, _request(cell, sidecar, b"{" + b" " * (size - 2) + b"}")))
        try:
            if isinstance(fault, NoUpload) and not fault.is_answered:
                await signals.arrived.wait()
                return None
            return understood(await listen(sock, lambda data: signals.delivered.set() if awaited in data else None))
        finally:
            saying.cancel()
            await asyncio.wait({saying})


def _request(cell: Cell, sidecar: Sidecar, body: bytes) -> bytes:
    path = "/v1/messages" if cell.sent is Sent.WHOLE else "/v1/files"
    head = f"POST {path} HTTP/{cell.agent}\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {sidecar.given}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _result(message: Message | None, row: dict[str, object], connections: int) -> Result:
    got = message or Message(0)
    code = got.fields.get(b"x-sidecar-error", b"").decode() or None
    retry = got.fields.get(b"x-should-retry")
    return Result(
        status=got.status or None,
        code=code,
        should_retry=retry.decode() if retry else None,
        framing=got.framing if message else None,
        body=got.own_error_type.encode() if code else got.body,
        is_whole=got.is_whole,
        outcome=row["outcome"],
        error_type=row["error_type"],
        row_status=row["status"],
        usage=(row["usage_source"], row["input_tokens"], row["output_tokens"]),
        bytes_out=row["bytes_out"],
        connections=connections,
    )
