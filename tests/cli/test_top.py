"""`sidecar top` in a pipe and on real terminals: a pseudo-terminal for the bytes, tmux for what is seen."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import pytest
from fakes.raw import raw_gateway
from fakes.running import client, one_gateway, request, running
from rich.console import Console

from sidecar.cli.reports.top import _sums, sheet
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Reading

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from exchanges import closing, opening

COMMAND = (sys.executable, "-m", "sidecar", "top")
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-opus-4-8","usage":'
    b'{"input_tokens":12,"cache_read_input_tokens":900,"output_tokens":1}}}\n\n'
)
ENTER, LEAVE, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture
async def sidecar(tmp_path):
    """With one stream that runs until the test ends; its session's name tries to move the cursor."""
    over = asyncio.Event()

    async def slowly(talk):
        if await talk.request():
            await talk.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + START)
            await over.wait()
            talk.fin()

    async with raw_gateway(slowly) as there, running(tmp_path / "home", one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        agent.send(request(sidecar, b"x-claude-code-session-id: s-\xe2\x80\xae1", body=b'{"model":"claude-opus-4-8","stream":true}'))
        await agent.reader.readuntil(b"output_tokens")
        yield sidecar
        over.set()


def environ(sidecar) -> dict[str, str]:
    variables = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    return {**variables, "SIDECAR_HOME": str(sidecar.home)}


async def piped(sidecar, *words: str) -> tuple[str, int]:
    process = await asyncio.create_subprocess_exec(*COMMAND, *words, stdout=subprocess.PIPE, env=environ(sidecar))
    out, _ = await process.communicate()
    return out.decode(), process.returncode


async def test_in_a_pipe_it_is_told_once_and_plainly(sidecar):
    out, code = await piped(sidecar)
    assert code == 0
    assert "\x1b" not in out
    lines = [line.split() for line in out.splitlines()]
    assert f"Serving on http://127.0.0.1:{sidecar.port}, gateway there: 1 stream" in out
    [stream, session] = [line for line in lines if line[:1] == ["s-1"]]  # without the mark that reorders text
    assert session[-2:] == ["1", "?"], "the session is among those of the last hour"
    assert (stream[1:3], stream[5:7]) == (["there", "claude-opus-4-8"], ["912", "1"])
    assert "today: 1 request in 1 session" in out


async def test_what_has_just_ended_stays_to_be_read(sidecar):
    now = time.time()
    ledger = Ledger(str(sidecar.home / "ledger.db"), "two", print)
    ledger.start()
    for number, (session, ago) in enumerate((("ended", 9), ("earlier", 99), ("failed", 5)), 1):
        ledger.open(opening(number, started_at=now - ago - 2, session=session))
        failure = {"status": 429, "reading": Reading(failed=True, error_type="rate_limit_error")} if session == "failed" else {}
        ledger.close(closing(number, finished_at=now - ago, **failure))
    ledger.stop()
    lines = [line.split() for line in (await piped(sidecar))[0].splitlines()]
    after = lines[lines.index(["just", "ended:"]) + 1 :]
    ended = [line for line in after if line and line[0] in {"ended", "earlier", "failed"} and line[-1] in {"complete", "rate_limit_error"}]
    assert [(line[0], line[-1]) for line in ended] == [("ended", "complete"), ("failed", "rate_limit_error")]


@pytest.mark.parametrize(("state", "colour"), [("ok", ""), ("near", "\x1b[33m"), ("spent", "\x1b[1;31m")])
def test_what_needs_a_look_has_a_colour(state, colour):
    none = {"requests": 0, "errors": 0, "cost_usd": None, "unpriced_requests": 0}
    budget = {"budget": "$5 per day", "session": None, "state": state, "left": "$1 left"}
    now = {
        "address": "a",
        "gateway": "g",
        "streams": [],
        "just_ended": [],
        "sessions_of_the_last_hour": [],
        "today": none,
        "sessions_today": 0,
    }
    for is_terminal in (True, False):
        console = Console(force_terminal=is_terminal, color_system="standard" if is_terminal else None, width=80, file=io.StringIO())
        console.print(sheet({**now, "budgets": [budget]}))
        (line,) = [line for line in console.file.getvalue().splitlines() if "$5 per day" in line]
        assert line.startswith(colour if is_terminal else "budget")
        assert ("\x1b" in line) is (is_terminal and bool(colour))


async def test_as_json_it_is_what_it_knows(sidecar):
    out, _ = await piped(sidecar, "--json")
    told = json.loads(out)
    assert told["streams"][0]["cache_read_tokens"] == 900
    assert told["today"]["requests"] == 1


def test_without_a_daemon_it_says_so(home):
    done = home.run("top")
    assert (done.returncode, done.stdout) == (5, "")
    assert "sidecar start" in done.stderr


class Terminal:
    """A pseudo-terminal with `sidecar top` on it, in front; `seen` is all it wrote."""

    def __init__(self, sidecar) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (30, 120))
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            COMMAND, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environ(sidecar), start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # noqa: PLW1509  makes it the one whose Ctrl-C counts
        )  # fmt: skip
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self.seen += os.read(self.master, 65536)

    async def until(self, claim) -> None:
        async with asyncio.timeout(20):
            while not claim():  # noqa: ASYNC110  another process tells nobody
                await asyncio.sleep(0.01)

    async def drawn(self) -> None:
        await self.until(lambda: b"q ends" in self.seen.rpartition(ENTER)[2])

    async def ended(self) -> int:
        await self.until(lambda: self.process.poll() is not None)
        self._read()
        return self.process.returncode

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
async def terminal(sidecar):
    terminal = Terminal(sidecar)
    yield terminal
    terminal.close()


def is_as_it_was(terminal: Terminal) -> bool:
    after = terminal.seen.rpartition(ENTER)[2]
    return LEAVE in after and SHOW_CURSOR in after and termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda terminal: os.write(terminal.master, b"q"), 0),
        (lambda terminal: os.write(terminal.master, b"\x03"), 130),
        (lambda terminal: terminal.process.send_signal(signal.SIGTERM), 143),
        (lambda terminal: terminal.process.send_signal(signal.SIGHUP), 129),
    ],
    ids=["q", "Ctrl-C", "SIGTERM", "SIGHUP"],
)
async def test_however_it_ends_the_terminal_is_as_it_was(terminal, end, code):
    await terminal.drawn()
    assert termios.tcgetattr(terminal.slave) != terminal.before
    end(terminal)
    assert await terminal.ended() == code
    assert is_as_it_was(terminal)


async def test_a_crash_leaves_the_terminal_as_it_was_and_says_what_it_was(terminal, sidecar):
    await terminal.drawn()
    (sidecar.home / "ledger.db").write_bytes(b"no ledger any more" * 400)
    assert await terminal.ended() == 1
    assert is_as_it_was(terminal)
    assert b"cannot be read" in terminal.seen.rpartition(LEAVE)[2]


async def test_ctrl_z_puts_the_terminal_back_and_fg_draws_again(terminal):
    await terminal.drawn()
    terminal.process.send_signal(signal.SIGTSTP)
    await terminal.until(lambda: os.waitpid(terminal.process.pid, os.WUNTRACED | os.WNOHANG)[0])
    await terminal.until(lambda: LEAVE in terminal.seen)
    assert is_as_it_was(terminal)
    terminal.process.send_signal(signal.SIGCONT)
    await terminal.until(lambda: terminal.seen.count(ENTER) == 2)
    await terminal.drawn()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
async def test_in_tmux_the_page_is_seen_and_the_screen_comes_back(sidecar, tmp_path):
    folder = tempfile.mkdtemp(prefix="sidecar-")  # a socket's path has to be short
    tmux = ("tmux", "-S", f"{folder}/tmux", "-f", "/dev/null")
    shell = {**environ(sidecar), "HOME": str(tmp_path)}

    async def run(*words: str) -> str:
        # Into a file: the server that the first command leaves behind would keep a pipe open.
        said = os.open(tmp_path / "said", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            process = await asyncio.create_subprocess_exec(*tmux, *words, stdout=said, stdin=subprocess.DEVNULL, env=shell)
            await process.wait()
            return os.pread(said, 65536, 0).decode()
        finally:
            os.close(said)

    async def screen(claim) -> str:
        async with asyncio.timeout(20):
            while not claim(seen := await run("capture-pane", "-p", "-t", "it")):  # noqa: ASYNC110  tmux tells nobody
                await asyncio.sleep(0.02)
        return seen

    script = f"echo before the top; {sys.executable} -m sidecar top; echo it ended with $?; cat"
    try:
        await run("new-session", "-d", "-s", "it", "-x", "100", "-y", "20", script)
        seen = await screen(lambda seen: "q ends" in seen)
        assert "before the top" not in seen
        assert "claude-opus-4-8" in seen
        assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in seen
        await run("send-keys", "-t", "it", "q")
        seen = await screen(lambda seen: "it ended with" in seen)
        assert seen.split("\n")[:2] == ["before the top", "it ended with 0"]
        await run("send-keys", "-t", "it", "typed after")
        await screen(lambda seen: "typed after" in seen)
    finally:
        await run("kill-server")
        shutil.rmtree(folder)


def test_a_subscriptions_cost_is_marked():
    today = {"requests": 1, "errors": 0, "error_share": 0, "cost_usd": 2.0, "unpriced_requests": 0, "subscription_cost_usd": 2.0}
    assert list(_sums(today, 1))[-1] == "~$2.00"
