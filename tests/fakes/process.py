"""A real daemon process with a home of its own.  It goes where `fakes.running` takes a sidecar: it has `port`, `given`, `minted`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from sidecar.launch import client, passkey, places, spawn
from sidecar.launch import daemon_state as state
from sidecar.launch.passes import Pass, mint

KEY = "gateway-key-0123456789"
PATIENCE_SECONDS = 20


class DidNotStart(Exception):
    """`args[0]` is what it said."""


class Daemon:
    """`environ` is the shell's that starts it.  `process` is the newest one; one that hands over is still in `processes`."""

    def __init__(self, folder: Path, config: str | None = None, variables: Mapping[str, str] | None = None) -> None:
        self.home = folder / "home"
        self.user = folder / "user"
        for each in (self.home, self.user):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(self.user), "SIDECAR_HOME": str(self.home), "THERE_KEY": KEY}
        self.environ |= variables or {}
        self.places = places.find(self.environ)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = 0
        self.given = ""
        if config is not None:
            self.configure(config)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.processes[-1]

    def configure(self, text: str) -> None:
        path = self.home / "config.yaml"
        path.write_text(text)
        path.chmod(0o600)

    def start(self, *options: str, **settings) -> dict[str, object]:
        """What it says when it serves.  Raises `DidNotStart`."""
        command = [sys.executable, "-P", "-m", "sidecar.server", *options]
        environ = spawn.clean_environment(self.environ, self.places)
        with (self.user / "stderr").open("ab") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environ, **settings)
        self.processes.append(process)
        with process.stdout:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(self.environ).encode())
            said = json.loads(process.stdout.readline() or b"{}")
        if "port" not in said:
            process.wait(PATIENCE_SECONDS)
            raise DidNotStart(said)
        self.port = said["port"]
        self.given = self.minted()
        return said

    def sidecar(self, *args: str, **settings) -> subprocess.CompletedProcess[str]:
        """A command of the user's."""
        command = [sys.executable, "-m", "sidecar", *args]
        settings = {"stdin": subprocess.DEVNULL} | settings if "input" not in settings else settings
        return subprocess.run(command, env=self.environ, cwd=self.user, capture_output=True, text=True, check=False, timeout=60, **settings)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def minted(self, run: str = "run-1", **pins) -> str:
        return mint(passkey.load_or_create(self.places.pass_key), Pass(run, int(time.time()) + 600, **pins))

    def status(self) -> dict[str, object]:
        running = client.verified(self.places)
        assert running is not None
        return client.ask(self.places, running, "GET", "/_sidecar/status")

    def is_alive(self) -> bool:
        return state.held(self.places.lock_file)

    def rows(self) -> list[dict[str, object]]:
        with contextlib.closing(sqlite3.connect(f"file:{self.places.ledger}?mode=ro", uri=True)) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(row) for row in ledger.execute("SELECT * FROM requests ORDER BY id")]

    def log(self) -> list[dict[str, object]]:
        lines = (Path(self.places.logs) / "sidecar.log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may be half written

    async def started(self, *options: str) -> dict[str, object]:
        return await asyncio.to_thread(self.start, *options)


def free_port() -> int:
    """Outside of what the system hands out by itself, and of what sidecars try: nobody takes it between two daemons of a test."""
    while True:
        port = random.randint(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def daemon(folder: Path, config: str | None = None, variables: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """Not started yet.  Whatever of it still runs at the end is killed."""
    it = Daemon(folder, config, variables)
    try:
        yield it
    finally:
        it.close()


async def until(claim, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)
