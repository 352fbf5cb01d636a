"""What a sidecar's process holds while peers stall or send without end: a bounded piece of each stream, and nothing of its length.

The figures are of a process of its own (`/proc/PID/status`), printed with `pytest -s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.raw import raw_gateway, reply
from fakes.running import KEY, Sidecar, client, one_gateway, request

from sidecar.launch import places

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/status")

IS_DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
STREAMS = 200 if IS_DEEP else 40
UPLOAD_BYTES = 1024**3 if IS_DEEP else 128 * 1024**2
MIB = 1024 * 1024


class Process(Sidecar):
    """A sidecar in a process of its own."""

    pid: int

    def memory(self, name: str = "VmRSS") -> int:
        """Bytes; `VmHWM` is the most there ever was."""
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found
        return int(found[1]) * 1024


@contextlib.asynccontextmanager
async def serving(home: Path, config: str) -> AsyncIterator[Process]:
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(config)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sidecar",
        "serve",
        env={"PATH": os.environ["PATH"], "HOME": str(home), "SIDECAR_HOME": str(home), "THERE_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        line = await process.stdout.readline()
        port = int(re.search(rb"http://127\.0\.0\.1:(\d+)", line)[1])
        sidecar = Process(port, home, places.find({"SIDECAR_HOME": str(home)}), life=None)
        sidecar.given = sidecar.minted()
        sidecar.pid = process.pid
        yield sidecar
    finally:
        process.kill()
        await process.wait()
        process._transport.close()


async def warmed_up(sidecar: Process) -> int:
    """What it holds once it has done everything once."""
    async with client(sidecar) as agent:
        agent.send(request(sidecar, target=b"/v1/warm", body=b"x" * 4 * MIB))
        assert (await agent.reply()).is_whole
    await asyncio.sleep(0.2)
    return sidecar.memory()


@pytest.mark.timeout(120)
async def test_a_stream_that_nobody_reads_holds_a_bounded_piece(tmp_path):
    sent = 0

    async def script(talk):
        nonlocal sent
        if (await talk.request()).target == b"/v1/warm":
            await talk.send(reply(b"x" * 4 * MIB, b"Connection: close"))
            return
        await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        event = b"data: " + b"x" * 92 + b"\n\n"
        chunk = b"%x\r\n%b\r\n" % (len(event), event)
        while True:
            await talk.send(chunk * 100)
            sent += len(chunk) * 100

    async with (
        raw_gateway(script) as there,
        serving(tmp_path / "home", one_gateway(there.url)) as sidecar,
        contextlib.AsyncExitStack() as all_,
    ):
        before = await warmed_up(sidecar)
        for _ in range(STREAMS):
            agent = await all_.enter_async_context(client(sidecar))
            agent.writer.transport.pause_reading()
            agent.send(request(sidecar))
        seen = [0]
        while len(seen) < 4 or seen[-1] != seen[-4]:  # until the gateway, too, has to wait
            await asyncio.sleep(0.3)
            seen.append(sent)
        each = (sidecar.memory() - before) / STREAMS
        print(f"\n{STREAMS} stalled streams, {sent / MIB:.0f} MiB sent by the gateway: {each / 1024:.0f} KiB of memory for each")
        assert each < MIB


@pytest.mark.timeout(300)
async def test_an_upload_to_a_streamed_path_takes_no_memory_of_its_length(tmp_path):
    taken = 0

    async def script(talk):
        nonlocal taken
        head = await talk.reader.readuntil(b"\r\n\r\n")
        taken = 0
        while data := await talk.reader.read(MIB):
            taken += len(data)
            if taken == (4 * MIB if b"/v1/warm" in head else UPLOAD_BYTES):
                await talk.send(reply(b"x" * 4 * MIB, b"Connection: close"))
                return

    async with raw_gateway(script) as there, serving(tmp_path / "home", one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        before = await warmed_up(sidecar)
        begun = time.monotonic()
        agent.send(request(sidecar, b"Content-Length: %d" % UPLOAD_BYTES, body=None, target=b"/v1/files"))
        for _ in range(UPLOAD_BYTES // MIB):
            agent.send(b"x" * MIB)
            await agent.writer.drain()
        got = await agent.reply()
        assert (got.status, got.is_whole, taken) == (200, True, UPLOAD_BYTES)
        grown = sidecar.memory("VmHWM") - before
        print(f"\n{UPLOAD_BYTES / MIB:.0f} MiB in {time.monotonic() - begun:.1f} s: {grown / MIB:.1f} MiB more than before at the most")
        assert grown < 8 * MIB


async def settled(sidecar: Process) -> int:
    """What it holds once everything that was sent has been dealt with."""
    await asyncio.sleep(0.3)
    return sidecar.memory()


def announcing(sidecar: Process, length: int, held: str | None = None) -> bytes:
    head = request(sidecar, b"Content-Length: %d" % length, body=None, held=held)
    return head + b'{"model":"m","a":"xxx'


@pytest.mark.parametrize("held", ["no pass", "sidecar-pass-bm8.no", None], ids=["no pass", "a bad pass", "a good pass"])
async def test_a_body_that_is_only_announced_takes_no_room(tmp_path, held):
    async with (
        raw_gateway(lambda talk: talk.request()) as there,
        serving(tmp_path / "home", one_gateway(there.url)) as sidecar,
        contextlib.AsyncExitStack() as all_,
    ):
        before = await warmed_up_by_refusals(sidecar)
        for _ in range(40):
            agent = await all_.enter_async_context(client(sidecar))
            agent.send(announcing(sidecar, 32 * MIB, held))
        grown = await settled(sidecar) - before
        print(f"\n40 heads that announce 32 MiB: {grown / MIB:.1f} MiB")
        assert grown < 20 * MIB


async def warmed_up_by_refusals(sidecar: Process) -> int:
    for _ in range(3):
        async with client(sidecar) as agent:
            agent.send(request(sidecar, held="nothing", body=b"x" * 100_000))
            assert (await agent.reply()).status == 401
    return await settled(sidecar)


BODY = b'{"model":"m","a":"%s"}' % (b"x" * MIB)


@pytest.mark.parametrize("refused", ["bad pass", "dead", "closed"])
async def test_the_body_of_a_refused_request_is_freed_at_once(tmp_path, refused):
    more = "".join(
        f"  {name}: {{base_url: 'http://127.0.0.1:1', credential: {{env: THERE_KEY}}{end}}}\n"
        for name, end in (("dead", ""), ("closed", ", only: [/v2/*]"))
    )
    held, fields = ("sidecar-pass-no", ()) if refused == "bad pass" else (None, (b"x-sidecar-gateway: " + refused.encode(),))
    async with raw_gateway(lambda talk: talk.request()) as there, serving(tmp_path / "home", one_gateway(there.url, more)) as sidecar:
        before = 0
        for number in range(70):
            if number == 10:
                before = await settled(sidecar)
            async with client(sidecar) as agent:
                agent.send(request(sidecar, *fields, body=BODY, held=held))
                assert (await agent.reply()).value(b"x-sidecar-error")
        grown = await settled(sidecar) - before
        print(f"\n60 refused requests of 1 MiB: {grown / MIB:.1f} MiB")
        assert grown < 20 * MIB


async def test_a_models_name_of_megabytes_is_kept_nowhere(tmp_path):
    async def script(talk):
        while True:
            await talk.request()
            await talk.send(reply(b'{"type":"message","stop_reason":"end_turn"}'))

    async with raw_gateway(script) as there, serving(tmp_path / "home", one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        before = 0
        for number in range(40):
            if number == 10:
                before = await settled(sidecar)
            agent.send(request(sidecar, body=b'{"model":"m%d-%b"}' % (number, b"x" * 2 * MIB)))
            assert (await agent.reply()).status == 200
        grown = await settled(sidecar) - before
        rows = await sidecar.rows(40)
        print(f"\n30 models' names of 2 MiB: {grown / MIB:.1f} MiB")
        assert grown < 20 * MIB
        assert all(len(row["model_requested"] or "") <= 256 for row in rows)
        assert sum(file.stat().st_size for file in (tmp_path / "home").rglob("*") if file.is_file()) < 2 * MIB
