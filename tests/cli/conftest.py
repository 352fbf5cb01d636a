"""A home of its own for every test, the command `sidecar` as a real process in it, and a fake daemon for it to find."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sidecar import __version__
from sidecar.launch import places

FAKE = Path(__file__).parent.parent / "fakes" / "daemon.py"


class Home:
    """`environ` is what commands are started with; `folder` the working folder."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "home"
        self.folder = tmp_path / "shop"
        self.user = tmp_path / "user"
        self.bin = tmp_path / "bin"
        for folder in (self.folder, self.user, self.bin):
            folder.mkdir()
        self.environ = {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.user), "SIDECAR_HOME": str(self.path)}
        self.places = places.find(self.environ)

    def popen(self, *args: str, **settings) -> subprocess.Popen[bytes]:
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
        return subprocess.Popen([sys.executable, "-m", "sidecar", *args], env=self.environ, cwd=self.folder, **settings)

    def run(self, *args: str, **settings) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sidecar", *args]
        settings = {"stdin": subprocess.DEVNULL, **settings} if "input" not in settings else settings
        return subprocess.run(
            command, env=self.environ, cwd=self.folder, capture_output=True, text=True, check=False, timeout=30, **settings
        )

    def script(self, name: str, text: str, mode: int = 0o755) -> Path:
        path = self.bin / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def agent(self, name: str = "agent") -> Path:
        """Prints its arguments and environment as JSON."""
        return self.script(name, f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv, dict(os.environ)]))\n")

    def asked(self) -> list[list[object]]:
        return [json.loads(line) for line in (self.path / "asked.jsonl").read_text().splitlines()]


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def daemon(home):
    """Call it to have a fake daemon; keyword arguments change what it says."""
    running = []

    def start(**given) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, FAKE, home.path, json.dumps(given)], stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


class Squatter:
    """Took the port of a daemon that has died; says yes to everything, and keeps what it hears."""

    def __init__(self):
        self.heard = b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()

    def answer(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            with connection:
                self.heard += connection.recv(65536)
                body = json.dumps({"name": "sidecar", "version": __version__, "instance": "gone", "proof": "0" * 64, "key": True}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


@pytest.fixture
def squatter():
    squatter = Squatter()
    yield squatter
    squatter.close()
