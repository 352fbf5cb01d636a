"""A daemon whose limit of open files is low: it raises what it may raise, and refuses politely what is beyond."""

from __future__ import annotations

import asyncio
import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.raw import raw_gateway
from fakes.running import KEY, Client, one_gateway

from sidecar.launch import places
from sidecar.launch.client import verified

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


async def sidecar(home: Path, command: str, limit: str = "") -> tuple[str, int]:
    line = f"{limit} exec {sys.executable} -m sidecar {command}"
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "SIDECAR_HOME": str(home), "THERE_KEY": KEY}
    process = await asyncio.create_subprocess_exec("bash", "-c", line, env=environ, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode().strip(), process.returncode


@pytest.mark.parametrize(
    ("limit", "streams", "refuses"),
    [("ulimit -Sn 64;", 60, False), ("ulimit -n 96;", 150, True)],
    ids=["only the soft limit is low", "the hard limit is low"],
)
async def test_every_request_gets_an_answer(tmp_path, limit, streams, refuses):
    opened = 0
    over = asyncio.Event()

    async def slowly(talk):
        nonlocal opened
        if await talk.request():
            opened += 1
            await talk.send(HEAD + b": begun\n\n")
            await over.wait()
            await talk.send(b": done\n\n")
            talk.fin()

    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with raw_gateway(slowly) as there:
        (home / "config.yaml").write_text(one_gateway(there.url))
        try:
            assert (await sidecar(home, "start", limit))[1] == 0
            port = verified(places.find({"SIDECAR_HOME": str(home)}))["port"]
            held, _ = await sidecar(home, "token")
            body = b'{"model":"m","stream":true}'
            message = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nx-api-key: %b\r\ncontent-length: %d\r\n\r\n%b"

            async def ask() -> tuple[int, bytes | None, bool]:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(message % (port, held.encode(), len(body), body))
                reply = await Client(reader, writer).reply()
                writer.close()
                return reply.status, reply.value(b"x-sidecar-error"), reply.is_whole

            asking = [asyncio.ensure_future(ask()) for _ in range(streams)]
            while opened + sum(task.done() for task in asking) < streams:  # noqa: ASYNC110  # two processes' doing
                await asyncio.sleep(0.01)
            status, code = await sidecar(home, "status --json")
            assert (code, json.loads(status)["streams"]) == (0, opened)  # its own commands work at the limit
            over.set()
            seen = collections.Counter(await asyncio.gather(*asking))
        finally:
            over.set()
            await sidecar(home, "stop --now")
    assert set(seen) <= {(200, None, True), (503, b"busy", True)}
    assert seen[200, None, True] == opened
    assert opened == streams if not refuses else 10 < opened < streams
