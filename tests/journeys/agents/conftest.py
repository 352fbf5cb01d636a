"""A developer's machine of its own for every test: a home, a sidecar, two gateways, and a real agent from npm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sidecar.demo.gateway import Received, StandIn

AGENTS = Path(__file__).parents[3] / ".cache/agents/node_modules/.bin"
KEYS = {"vercel": "key-of-vercel-7f3a9c", "edgee": "key-of-edgee-51be02"}
SIDECAR = (sys.executable, "-m", "sidecar")
PATIENCE_SECONDS = 45


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Desk:
    """`gateways` are the stand-ins by name, `keys` their keys; `environ` is that of the developer's shell."""

    home: Path
    gateways: dict[str, StandIn]
    keys: dict[str, str]
    environ: dict[str, str]
    started: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, *command: str, **environ: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=self.environ | environ, cwd=self.home / "project", start_new_session=True
        )
        self.started.append(process)
        return process

    async def do(self, *command: str, stdin: str = "", **environ: str) -> Ended:
        process = await self.start(*command, **environ)
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await process.communicate(stdin.encode())
        return Ended(process.returncode, out.decode(), err.decode())

    async def sidecar(self, *arguments: str, stdin: str = "", **environ: str) -> Ended:
        return await self.do(*SIDECAR, *arguments, stdin=stdin, **environ)

    async def arrival(self, gateway: str, count: int) -> None:
        """Until `count` inference requests have reached the gateway."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.asked(gateway)) < count:  # noqa: ASYNC110  the stand-in has nothing to wait on
                await asyncio.sleep(0.02)

    async def rows(self) -> list[dict[str, object]]:
        """The ledger, oldest first, once nothing in it is open or without its cost."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                said = await self.sidecar("usage", "--by", "request", "--json")
                rows = json.loads(said.out)["rows"]
                if all(row["finished_at"] and (row["price_source"] or row["kind"] != "inference") for row in rows):
                    return rows

    def asked(self, gateway: str) -> list[Received]:
        """The inference requests that reached it."""
        return [request for request in self.gateways[gateway].received if request.method == "POST"]


@pytest.fixture
async def desk(tmp_path):
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    environ = {
        "PATH": f"{AGENTS}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "SIDECAR_HOME": str(home / "sidecar"),
        "LANG": "C.UTF-8",
        # Nothing but the gateway may be asked for anything.
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }
    async with contextlib.AsyncExitStack() as stack:
        gateways = {name: await stack.enter_async_context(StandIn(pace=0, keys=frozenset({key}))) for name, key in KEYS.items()}
        (home / "sidecar").mkdir(mode=0o700)
        entries = "".join(f"  {name}: {{base_url: {gateway.url}}}\n" for name, gateway in gateways.items())
        (home / "sidecar/config.yaml").write_text(f"listen: 127.0.0.1:{free_port()}\ngateway: vercel\ngateways:\n{entries}")
        desk = Desk(home, gateways, KEYS, environ)
        for name, key in KEYS.items():
            stored = await desk.sidecar("login", name, "--file", "--stdin", stdin=f"{key}\n")
            assert stored.code == 0, stored
        try:
            yield desk
        finally:
            for process in desk.started:
                if process.returncode is None:
                    process.kill()
                    await process.communicate()
            await desk.sidecar("stop", "--now")


@pytest.fixture
def claude() -> str:
    return installed("claude")


@pytest.fixture
def codex() -> str:
    return installed("codex")


@pytest.fixture
def opencode() -> str:
    return installed("opencode")


def installed(agent: str) -> str:
    path = AGENTS / agent
    if not path.exists():
        pytest.skip(f"{agent} is not installed: scripts/agents")
    return str(path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
