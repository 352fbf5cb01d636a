"""A real sidecar in the test's own event loop, and a client of raw bytes in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar.config.load import load
from sidecar.credentials.vault import Variables, Vault
from sidecar.launch import passkey, places
from sidecar.launch.daemon_state import Lock
from sidecar.launch.passes import Pass, mint
from sidecar.server.lifecycle import Life

KEY = "gateway-key-0123456789"


@dataclass
class Sidecar:
    """`given` is a pass without pins; `minted` makes others."""

    port: int
    home: Path
    places: places.Places
    life: Life
    given: str = ""

    def minted(self, run: str = "run-1", **pins) -> str:
        return mint(passkey.load(self.places.pass_key), Pass(run, pins.pop("expires", int(time.time()) + 600), **pins))

    async def rows(self, count: int = 1) -> list[dict[str, object]]:
        """The ledger's rows, oldest first, once `count` of them are closed."""
        deadline = time.monotonic() + 10
        while True:
            rows = self.rows_now()
            if sum(row["finished_at"] is not None for row in rows) >= count:
                return rows
            if time.monotonic() > deadline:
                raise AssertionError(f"{count} closed rows expected: {rows}")
            await asyncio.sleep(0.01)

    def rows_now(self) -> list[dict[str, object]]:
        if not Path(self.places.ledger).exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self.places.ledger}?mode=ro", uri=True)) as ledger:
            ledger.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in ledger.execute("SELECT * FROM requests ORDER BY id")]
            except sqlite3.OperationalError:
                return []


def one_gateway(url: str, more: str = "") -> str:
    return f"gateway: there\ngateways:\n  there:\n    base_url: {url}\n    credential: {{env: THERE_KEY}}\n{more}"


@contextlib.asynccontextmanager
async def running(home: Path, config: str, variables: Mapping[str, str] | None = None) -> AsyncIterator[Sidecar]:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = home / "config.yaml"
    file.write_text(config)
    file.chmod(0o600)
    here = places.find({"SIDECAR_HOME": str(home)})
    settings = replace(load(here), port=0)  # any free one
    given = Variables()
    given.update({"THERE_KEY": KEY} | dict(variables or {}), settings.variables)
    lock = Lock(here.lock_file)
    assert lock.acquire()
    life = Life(here, settings, given, Vault(here.keys, given), lock, lambda _level: None)
    ready: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(life.run(ready.set_result))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    sidecar = Sidecar(int(ready.result()["port"]), home, here, life)  # type: ignore[call-overload]
    sidecar.given = sidecar.minted()
    try:
        yield sidecar
    finally:
        life.stop(now=True)
        await task


async def until(claim: Callable[[], object], seconds: float = 10) -> None:
    """For what has no event to wait for: a peer's counter, a row on disk."""
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.005)


@dataclass
class Reply:
    """What came back, as bytes.  `is_whole`: the message came to the end that its framing promises."""

    status: int = 0
    reason: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = False

    def value(self, name: bytes) -> bytes | None:
        return next((value for each, value in self.fields if each.lower() == name.lower()), None)


class Client:
    """One connection to the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self, *, is_head: bool = False) -> Reply:
        got = Reply()
        line, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        _, status, got.reason = [*line.split(b" ", 2), b""][:3]
        got.status = int(status)
        got.fields = [tuple(each.split(b": ", 1)) for each in lines]  # type: ignore[misc]
        length = got.value(b"content-length")
        try:
            if is_head or got.status in (204, 304):
                got.is_whole = True
            elif got.value(b"transfer-encoding") == b"chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    got.body += await self._some(size, got)
                    await self.reader.readexactly(2)
                got.is_whole = await self.reader.readexactly(2) == b"\r\n"
            elif length is not None:
                got.body = await self._some(int(length), got)
                got.is_whole = True
            else:
                got.body = await self.reader.read()
                got.is_whole = True
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        return got

    async def _some(self, size: int, got: Reply) -> bytes:
        try:
            return await self.reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            got.body += error.partial
            raise


@contextlib.asynccontextmanager
async def client(sidecar: Sidecar) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port, limit=1 << 20)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def request(
    sidecar: Sidecar,
    *fields: bytes,
    body: bytes | None = b"{}",
    target: bytes = b"/v1/messages?beta=true",
    method: bytes = b"POST",
    held: str | None = None,
) -> bytes:
    lines = [
        method + b" " + target + b" HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Authorization: Bearer " + (held or sidecar.given).encode(),
        *fields,
    ]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


async def ask(sidecar: Sidecar, *fields: bytes, **more) -> Reply:
    async with client(sidecar) as agent:
        agent.send(request(sidecar, *fields, **more))
        return await agent.reply(is_head=more.get("method") == b"HEAD")
