"""Nothing is lost from the ledger, whatever happens to the process, its disk and its clock; and no stream ever notices.

What the writer alone can show is in `tests/ledger`; here the whole daemon is under load.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest
from fakes.process import DidNotStart, daemon, until
from fakes.raw import raw_gateway
from fakes.running import ask, client, one_gateway, request, running

DEEP = hypothesis.settings.get_current_profile_name() == "deep"
KILLS = 100 if DEEP else 5
THINKING_SECONDS = 0.005
#: A row is on disk this long after the agent has seen its reply's end: what the contract promises.
ON_DISK_SECONDS = 0.1

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":3,"output_tokens":1}}}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]


async def streams(talk):
    """Three events, a moment apart; a request with `x-want: hang` gets the first of them only."""
    while incoming := await talk.request():
        await talk.send(HEAD)
        for event in EVENTS:
            await talk.send(b"%x\r\n%b\r\n" % (len(event), event))
            if incoming.values(b"x-want"):
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        await talk.send(b"0\r\n\r\n")


@dataclass
class Load:
    """Agents that ask one request after the other, each a session of its own; `finished` is when the end of its reply was seen."""

    numbers: itertools.count = field(default_factory=itertools.count)
    begun: set[str] = field(default_factory=set)
    finished: dict[str, float] = field(default_factory=dict)

    async def agent(self, it) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with client(it) as connection:
                while True:
                    session = f"session-{next(self.numbers)}"
                    self.begun.add(session)
                    connection.send(request(it, b"x-sidecar-session: " + session.encode()))
                    got = await connection.reply()
                    if not got.is_whole:
                        return
                    assert got.body == b"".join(EVENTS)
                    self.finished[session] = time.monotonic()
                    await asyncio.sleep(THINKING_SECONDS)

    @contextlib.asynccontextmanager
    async def on(self, it, agents: int):
        """Until the daemon dies, or the end of the block."""
        tasks = [asyncio.ensure_future(self.agent(it)) for _ in range(agents)]
        yield
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [error for error in ended if isinstance(error, Exception)] == []


@contextlib.asynccontextmanager
async def stalls():
    """How long this process had to wait for its turn, at worst: on a machine with too much to do the daemon waits as long."""
    worst = [0.0]

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            worst[0] = max(worst[0], time.monotonic() - before - 0.005)

    ticking = asyncio.ensure_future(tick())
    yield lambda: worst[0]
    ticking.cancel()


@pytest.mark.timeout(30 * KILLS)
async def test_killed_at_any_moment_it_loses_no_request_that_was_seen_to_end(tmp_path):
    generator = random.Random(2026)
    load = Load()
    due: set[str] = set()
    hung = 0
    async with raw_gateway(streams) as gateway:
        with daemon(tmp_path, one_gateway(gateway.url)) as it:
            for _ in range(KILLS):
                await it.started()
                last_start = time.monotonic()
                async with load.on(it, agents=4), client(it) as hanging, stalls() as stalled:
                    hanging.send(request(it, b"x-want: hang", b"x-sidecar-session: hung"))
                    await hanging.reader.readuntil(b"\n\n\r\n")
                    await asyncio.sleep(ON_DISK_SECONDS + generator.uniform(0, 0.5))
                    killed_at = time.monotonic()
                    it.kill()
                    hung += 1
                    settled = killed_at - ON_DISK_SECONDS - stalled()
                    due |= {session for session, at in load.finished.items() if last_start < at < settled}
                rows = it.rows()
                sessions = [row["session"] for row in rows if row["session"] != "hung"]
                complete = {row["session"] for row in rows if row["outcome"] == "complete"}
                seconds_late = {session: killed_at - load.finished[session] for session in due - complete}
                assert seconds_late == {}
                assert len(sessions) == len(set(sessions))
                assert set(sessions) <= load.begun
                assert [row["outcome"] for row in rows if row["session"] == "hung"].count(None) == 1
            await it.started()
            rows = it.rows()
            assert all(row["finished_at"] for row in rows)
            assert {row["outcome"] for row in rows} == {"complete", "lost"}
            assert [row["outcome"] for row in rows if row["session"] == "hung"] == ["lost"] * hung
            assert all(row["output_tokens"] == 7 for row in rows if row["outcome"] == "complete")
            assert len(due) > 5 * KILLS
            it.terminate()


@contextlib.contextmanager
def locked(path: str):
    """By another program, which writes."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def test_another_programs_lock_delays_rows_and_no_stream(tmp_path):
    load = Load()
    async with raw_gateway(streams) as gateway:
        with daemon(tmp_path, one_gateway(gateway.url)) as it:
            await it.started()
            assert (await ask(it)).is_whole
            await until(lambda: it.rows() and it.rows()[0]["finished_at"])
            with locked(it.places.ledger):
                async with load.on(it, agents=4):
                    await until(lambda: any(line["event"] == "ledger.unwritable" for line in it.log()))
                    before = len(load.finished)
                    await asyncio.sleep(0.2)
                    assert len(load.finished) > before
            await until(lambda: load.finished.keys() <= {row["session"] for row in it.rows() if row["outcome"] == "complete"})
            it.terminate()
            sessions = [row["session"] for row in it.rows()]
            assert len(sessions) == len(set(sessions))
            assert any(line["event"] == "ledger.writable" for line in it.log())


async def test_a_stop_while_the_ledger_is_locked_waits_for_it_a_moment(tmp_path):
    async with raw_gateway(streams) as gateway:
        with daemon(tmp_path, one_gateway(gateway.url)) as it:
            await it.started()
            assert (await ask(it)).is_whole
            await until(lambda: it.rows() and it.rows()[0]["finished_at"])
            with locked(it.places.ledger):
                for number in range(5):
                    assert (await ask(it, b"x-sidecar-session: late-%d" % number)).is_whole
                await until(lambda: any(line["event"] == "ledger.unwritable" for line in it.log()))
                it.process.terminate()
                await until(lambda: any(line["event"] == "sidecar.draining" for line in it.log()))
                await asyncio.sleep(1.5)  # longer than one attempt takes
            assert await asyncio.to_thread(it.process.wait, 10) == 0
            assert [row["outcome"] for row in it.rows()] == ["complete"] * 6


@pytest.mark.parametrize("damage", ["the whole file", "pages inside"])
async def test_a_damaged_ledger_is_moved_aside_and_a_new_one_begun(tmp_path, damage):
    async with raw_gateway(streams) as gateway:
        with daemon(tmp_path, one_gateway(gateway.url)) as it:
            await it.started()
            for _ in range(20):
                assert (await ask(it, b"x-sidecar-session: " + b"s" * 200)).is_whole
            await until(lambda: sum(row["finished_at"] is not None for row in it.rows()) == 20)
            it.terminate()
            ledger = Path(it.places.ledger)
            content = ledger.read_bytes()
            sound = 0 if damage == "the whole file" else 4096  # then the schema can still be read, the rows cannot
            damaged = content[:sound] + b"\xa5" * (len(content) - sound)
            ledger.write_bytes(damaged)
            await it.started()
            assert (await ask(it)).is_whole
            await until(lambda: ledger.exists() and [row["outcome"] for row in it.rows()] == ["complete"])
            it.terminate()
            told = [line["problem"] for line in it.log() if line["event"] == "ledger.damaged"]
            aside = [path for path in it.home.glob("ledger.db.damaged-*") if not path.name.endswith(("-wal", "-shm"))]
            assert len(told) == len(aside) == 1
            assert str(aside[0]) in told[0]
            assert aside[0].read_bytes()[4096:] == damaged[4096:]


def newer(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as ledger:
        ledger.execute("INSERT INTO migrations VALUES ('of_tomorrow', '2030-01-01')")
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    async with raw_gateway(streams) as gateway:
        with daemon(tmp_path, one_gateway(gateway.url)) as it:
            await it.started()
            assert (await ask(it)).is_whole
            it.terminate()
            newer(it.places.ledger)
            before = Path(it.places.ledger).read_bytes()
            with pytest.raises(DidNotStart) as refused:
                await it.started()
            assert "newer version" in refused.value.args[0]["error"]
            assert "update this sidecar" in refused.value.args[0]["hint"]
            assert Path(it.places.ledger).read_bytes() == before
            assert not it.is_alive()


async def test_a_restart_that_finds_a_newer_ledger_leaves_the_running_one_in_place(tmp_path):
    async with raw_gateway(streams) as gateway:
        with daemon(tmp_path, one_gateway(gateway.url)) as it:
            await it.started()
            running_now = it.process
            newer(it.places.ledger)
            with pytest.raises(DidNotStart):
                await it.started("--replace")
            assert running_now.poll() is None
            assert (await ask(it)).is_whole


async def test_a_clock_that_jumps_backwards_spoils_no_row(tmp_path, monkeypatch):
    """By an hour, in the middle of a stream and between two."""
    real, gap = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + gap)
    go = asyncio.Event()

    async def script(talk):
        while await talk.request():
            await talk.send(HEAD)
            for event in EVENTS:
                await talk.send(b"%x\r\n%b\r\n" % (len(event), event))
                await go.wait()
            await talk.send(b"0\r\n\r\n")

    async with raw_gateway(script) as gateway, running(tmp_path / "home", one_gateway(gateway.url)) as sidecar, client(sidecar) as agent:
        held = sidecar.minted(expires=int(real()) + 600)
        agent.send(request(sidecar, b"x-sidecar-session: one", held=held))
        await agent.reader.readuntil(b"\n\n\r\n")
        gap = -3600.0
        go.set()
        await agent.reader.readuntil(b"0\r\n\r\n")
        assert (await ask(sidecar, b"x-sidecar-session: two", held=held)).is_whole
        rows = await sidecar.rows(2)
    assert [row["session"] for row in rows] == ["one", "two"]  # by id
    assert [row["outcome"] for row in rows] == ["complete"] * 2
    assert all(row["finished_at"] >= row["started_at"] and row["duration_ms"] >= 0 for row in rows)
    assert rows[1]["started_at"] < rows[0]["started_at"]
