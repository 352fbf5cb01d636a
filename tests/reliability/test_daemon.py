"""The daemon tells the truth: about whether it lives, who it is, why it does not start, and what it still has to finish."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.process import DidNotStart, daemon, free_port, until
from fakes.raw import raw_gateway
from fakes.running import ask, client, one_gateway, request

from sidecar.launch import client as control
from sidecar.launch import daemon_state as state

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


START = chunk(b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":3}}}\n\n')
END = chunk(
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


class Slow:
    """Begins every reply at once, and ends those of requests with `x-want: wait` only when `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def script(self, talk) -> None:
        while incoming := await talk.request():
            await talk.send(HEAD, START)
            if incoming.values(b"x-want"):
                await self.go.wait()
            await talk.send(END, b"0\r\n\r\n")


@contextlib.asynccontextmanager
async def slow_gateway(folder: Path, more: str = ""):
    """A daemon in front of a gateway that waits, not started yet, and the gateway's `Slow`."""
    slow = Slow()
    async with raw_gateway(slow.script) as gateway:
        with daemon(folder, one_gateway(gateway.url, f"{more}listen: 127.0.0.1:{free_port()}\n")) as it:
            yield it, slow


@contextlib.asynccontextmanager
async def stream(it):
    """An agent's stream under way: its first event has come."""
    async with client(it) as agent:
        agent.send(request(it, b"x-want: wait"))
        await agent.reader.readuntil(START)
        yield agent


async def until_draining(it) -> None:
    await until(lambda: any(line["event"] == "sidecar.draining" for line in it.log()))


async def test_a_restart_hands_over_while_streams_run(tmp_path):
    async with slow_gateway(tmp_path) as (it, slow):
        await it.started()
        before, old = it.port, it.process
        first = it.status()["instance"]
        async with stream(it) as one, stream(it) as two:
            await it.started("--replace")
            assert it.port == before
            assert it.status()["instance"] != first
            assert (await ask(it)).is_whole
            await until(lambda: len(it.rows()) == 3)
            assert [(row["instance"] == first, row["outcome"]) for row in it.rows()][:2] == [(True, None)] * 2
            assert old.poll() is None
            # One agent leaves, the other sees its stream through.
            one.writer.transport.abort()
            await until(lambda: "client_cancelled" in [row["outcome"] for row in it.rows()])
            slow.go.set()
            assert await two.reader.readexactly(len(END) + 5) == END + b"0\r\n\r\n"
        await until(lambda: old.poll() is not None)
        assert old.returncode == 0
        await until(lambda: all(row["finished_at"] for row in it.rows()))
        rows = it.rows()
        assert sorted(row["outcome"] for row in rows if row["instance"] == first) == ["client_cancelled", "complete"]
        assert [row["outcome"] for row in rows if row["instance"] != first] == ["complete"]
        assert not list(it.home.glob("draining-*"))
        assert it.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted there")
async def test_a_draining_sidecar_leaves_the_state_file_to_the_next_one(tmp_path):
    """Also when it has news of its own: here, that the ledger is gone."""
    async with slow_gateway(tmp_path) as (it, slow):
        await it.started()
        old, instance = it.process, it.status()["instance"]
        async with stream(it) as agent:
            await it.started("--replace")
            after = it.status()["instance"]
            assert after != instance
            for companion in ("", "-wal", "-shm"):
                Path(it.places.ledger + companion).unlink(missing_ok=True)
            slow.go.set()
            assert await agent.reader.readexactly(len(END) + 5) == END + b"0\r\n\r\n"
        await until(lambda: old.poll() is not None)
        assert "ledger.replaced" in {line["event"] for line in it.log()}
        assert state.read(it.places.state_file)["instance"] == after
        assert [row["outcome"] for row in it.rows()] == ["complete"]


async def test_of_a_killed_instance_that_was_draining_the_rows_are_lost(tmp_path):
    async with slow_gateway(tmp_path) as (it, _):
        await it.started()
        async with stream(it):
            old = it.process
            await it.started("--replace")
            old.kill()
            old.wait()
            await it.started("--replace")
            await until(lambda: it.rows()[0]["finished_at"])
            assert [row["outcome"] for row in it.rows()] == ["lost"]


async def test_a_request_meets_a_sidecar_or_a_closed_port_all_through_a_restart(tmp_path):
    """Nothing in between: no refusal, no half an answer.  What waits to be accepted when the port is closed is reset."""
    async with slow_gateway(tmp_path) as (it, _):
        await it.started()
        restart = asyncio.ensure_future(it.started("--replace"))
        refused_at = []
        answers = 0
        while not restart.done():
            try:
                got = await ask(it)
            except ConnectionError:
                refused_at.append(asyncio.get_running_loop().time())
                await asyncio.sleep(0.002)
                continue
            assert (got.status, got.is_whole) == (200, True)
            answers += 1
        await restart
        assert answers > 10
        assert not refused_at or refused_at[-1] - refused_at[0] < 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_says_how_many_and_a_second_one_means_now(tmp_path, number):
    async with slow_gateway(tmp_path) as (it, _):
        await it.started()
        async with stream(it) as one, stream(it):
            it.process.send_signal(number)
            await until_draining(it)
            assert it.process.poll() is None
            assert it.status()["streams"] == 2
            it.process.send_signal(number)
            assert await asyncio.to_thread(it.process.wait, 10) == 0
            assert await one.reader.read() == b""  # cut, without a last chunk
        said = {line["event"]: line for line in it.log()}
        assert (said["sidecar.draining"]["streams"], said["sidecar.cutting"]["streams"]) == (2, 2)
        assert [row["outcome"] for row in it.rows()] == ["upstream_truncated"] * 2
        assert not it.is_alive()


async def test_a_drain_lets_streams_finish(tmp_path):
    async with slow_gateway(tmp_path) as (it, slow):
        await it.started()
        async with stream(it) as agent:
            it.process.terminate()
            await until_draining(it)
            slow.go.set()
            assert await agent.reader.readexactly(len(END) + 5) == END + b"0\r\n\r\n"
            assert await asyncio.to_thread(it.process.wait, 10) == 0
        assert [row["outcome"] for row in it.rows()] == ["complete"]
        assert "sidecar.cutting" not in {line["event"] for line in it.log()}


async def test_a_drain_has_a_limit(tmp_path):
    async with slow_gateway(tmp_path, "timeouts: {drain: 200ms}\n") as (it, _):
        await it.started()
        async with stream(it) as agent:
            assert await asyncio.to_thread(it.terminate) == 0
            assert await agent.reader.read() == b""
        assert {line["event"]: line for line in it.log()}["sidecar.cutting"]["streams"] == 1


async def test_one_that_was_killed_is_known_to_be_dead_and_its_place_is_taken(tmp_path):
    async with slow_gateway(tmp_path) as (it, _):
        await it.started()
        port = it.port
        async with stream(it):
            await until(it.rows)
            it.kill()
        assert not it.is_alive()
        assert control.verified(it.places) is None
        assert state.read(it.places.state_file)["pid"] == it.process.pid  # stale, and believed by nobody
        assert it.sidecar("status").returncode == 5
        await it.started()
        assert it.port == port
        assert [row["outcome"] for row in it.rows()] == ["lost"]
        assert it.status()["pid"] == it.process.pid


def test_a_pid_in_a_stale_state_file_that_is_another_processs_now_is_left_alone(tmp_path):
    with daemon(tmp_path) as it:
        it.start()
        it.kill()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
            state.write(it.places.state_file, {**state.read(it.places.state_file), "pid": stranger.pid})
            assert it.sidecar("stop", "--now").stdout == "The sidecar is not running.\n"
            assert it.sidecar("restart").returncode == 0
            assert stranger.poll() is None
            stranger.communicate(b"\n")
        assert it.sidecar("stop", "--now").returncode == 0


async def test_a_crash_while_starting_stands_in_nobodys_way(tmp_path):
    """Killed at random moments of its start, then started for good."""
    generator = random.Random(7)
    async with slow_gateway(tmp_path) as (it, _):
        for _ in range(4):
            with contextlib.suppress(DidNotStart, ValueError):
                starting = asyncio.ensure_future(it.started())
                await asyncio.sleep(generator.uniform(0.05, 0.6))
                if it.processes:
                    it.kill()
                await starting
        assert it.sidecar("start").returncode == 0
        it.port, it.given = it.status()["port"], it.minted()
        assert (await ask(it)).is_whole
        assert it.sidecar("stop", "--now").returncode == 0


HOLDER = "import socket, sys; held = socket.create_server(('127.0.0.1', 0)); print(held.getsockname()[1], flush=True); sys.stdin.read()"


@pytest.mark.skipif(sys.platform != "linux", reason="who holds a port is told on Linux only")
def test_a_stranger_on_the_configured_port_is_named(tmp_path):
    with (
        subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger,
        daemon(tmp_path) as it,
    ):
        port = int(stranger.stdout.readline())
        it.configure(f"listen: 127.0.0.1:{port}\n")
        result = it.sidecar("start")
        assert result.returncode == 1
        name = Path(f"/proc/{stranger.pid}/comm").read_text().strip()
        assert f"127.0.0.1:{port}: the port is taken by {name} (process {stranger.pid})" in result.stderr
        assert "listen:" in result.stderr
        assert not it.is_alive()
        stranger.communicate()


def test_another_sidecar_on_the_port_is_said_to_be_one(tmp_path):
    with daemon(tmp_path / "first") as first, daemon(tmp_path / "second") as second:
        first.start()
        second.configure(f"listen: 127.0.0.1:{first.port}\n")
        with pytest.raises(DidNotStart) as refused:
            second.start()
        assert "taken by another sidecar" in refused.value.args[0]["error"]
        assert first.status()["running"]
        first.terminate()


def test_a_remembered_port_that_a_stranger_took_is_given_up_for_another(tmp_path):
    with daemon(tmp_path) as it:
        it.start()
        port = it.port
        it.kill()
        with socket.create_server(("127.0.0.1", port)):
            it.start()
            assert it.port != port
            assert it.status()["port"] == it.port
        it.terminate()


def test_a_second_one_in_the_same_home_is_refused(tmp_path):
    with daemon(tmp_path) as it:
        it.start()
        with pytest.raises(DidNotStart) as refused:
            it.start()
        assert refused.value.args[0]["error"] == "a sidecar is already running here"
        assert it.processes[0].poll() is None


def mounted(folder: Path, options: str) -> bool:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(folder)]
    return sys.platform == "linux" and os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A home with room for half a megabyte, and a function that fills it."""
    home = tmp_path / "home"
    if not mounted(home, "size=512k"):
        pytest.skip("needs the right to mount a small file system")

    def fill() -> Path:
        ballast = home / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        return ballast

    yield fill
    subprocess.run(["umount", "--lazy", str(home)], check=True)


def overwrite(path: str, beginning: bytes) -> None:
    """In place: there is no room for more."""
    with Path(path).open("r+b") as file:
        file.write(beginning)


def test_with_a_full_disk_it_does_not_start_and_says_so(tmp_path, small_disk):
    with daemon(tmp_path) as it:
        ballast = small_disk()
        for command in (("start",), ("token",)):
            result = it.sidecar(*command)
            assert result.returncode == 1
            assert "No space left on device" in result.stderr
            assert "Traceback" not in result.stderr
        assert not it.is_alive()
        ballast.unlink()
        assert it.sidecar("start").returncode == 0
        assert it.sidecar("stop", "--now").returncode == 0


async def test_a_disk_that_fills_up_later_affects_no_request(tmp_path, small_disk):
    other = "  other: {base_url: 'http://127.0.0.1:1'}\n"
    async with slow_gateway(tmp_path, other) as (it, slow):
        await it.started()
        async with stream(it) as agent:
            ballast = small_disk()
            for number in range(30):
                assert (await ask(it, b"x-sidecar-gateway: there")).status == 200
                overwrite(it.places.config_file, b"gateway: there" if number % 2 else b"gateway: other")  # daemon.json should say so, too
            slow.go.set()
            assert await agent.reader.readexactly(len(END) + 5) == END + b"0\r\n\r\n"
        ballast.unlink()
        await until(lambda: sum(row["finished_at"] is not None for row in it.rows()) == 31)
        assert {row["outcome"] for row in it.rows()} == {"complete"}
        it.terminate()


@pytest.fixture
def read_only(tmp_path):
    """Call it to make the home read-only, for root too where that is who runs this."""
    home = tmp_path / "home"
    is_mounted = mounted(home, "size=4m")

    def make(options: str = "ro") -> None:
        if is_mounted:
            subprocess.run(["mount", "-o", f"remount,{options}", str(home)], check=True)
        elif os.geteuid() == 0:
            pytest.skip("root writes everywhere")
        else:
            home.chmod(0o500 if options == "ro" else 0o700)

    yield make
    if is_mounted:
        subprocess.run(["umount", "--lazy", str(home)], check=True)
    elif home.exists():
        home.chmod(0o700)


def test_in_a_read_only_home_it_does_not_start_and_says_so(tmp_path, read_only):
    with daemon(tmp_path) as it:
        read_only()
        result = it.sidecar("start")
        read_only("rw")
    assert result.returncode == 1
    assert str(it.home) in result.stderr
    assert "Read-only file system" in result.stderr or "Permission denied" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("limit", ["idle", "first_byte"])
async def test_what_came_while_the_process_stood_still_is_read_before_a_limit_is_judged(tmp_path, limit):
    """Stopped for longer than the limit, while the gateway goes on: its bytes wait in the socket."""
    stopped = asyncio.Event()

    async def script(talk):
        await talk.request()
        if limit == "idle":
            await talk.send(HEAD, START)
        await stopped.wait()
        await talk.send(*([] if limit == "idle" else [HEAD, START]), END, b"0\r\n\r\n")

    async with raw_gateway(script) as there:
        with daemon(tmp_path, one_gateway(there.url, f"timeouts: {{{limit}: 300ms}}\nlisten: 127.0.0.1:{free_port()}\n")) as it:
            await it.started()
            async with client(it) as agent:
                agent.send(request(it))
                await until(lambda: there.requests)
                if limit == "idle":
                    await agent.reader.readuntil(START)
                it.process.send_signal(signal.SIGSTOP)
                stopped.set()
                await asyncio.sleep(0.6)
                it.process.send_signal(signal.SIGCONT)
                assert b"message_stop" in await agent.reader.readuntil(b"0\r\n\r\n")
            await until(lambda: [row["outcome"] for row in it.rows()] == ["complete"])
