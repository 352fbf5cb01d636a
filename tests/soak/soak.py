"""The soak: agents, a gateway that fails, a configuration that changes and a ledger that gets locked, around one real daemon.

Every reply is compared with what the gateway sent, every row with what the reply said.  At the end the daemon must hold no more
memory, descriptors and threads than a daemon of its age should.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fakes.process import Daemon, daemon
from fakes.raw import raw_gateway
from fakes.running import Client, Reply, client, request
from soak.kinds import COMPLETE, KINDS, SILENCE_SECONDS, Content, Kind, body, script

#: A row has long been written by then.
SETTLED_SECONDS = 3.0
#: Growth in the second half of the run, when everything that is kept has been filled: more is a leak.
MEMORY_LIMIT_MIB = 8.0
#: Threads that come with the first file to be read: asyncio's own pool.
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)


@dataclass(frozen=True)
class Due:
    """A row that has to be there."""

    session: str
    at: float
    kind: Kind
    columns: dict[str, object]


@dataclass(frozen=True)
class Sample:
    """What the daemon holds; `descriptors` is None where the system does not tell.  `tasks` are those of its event loop."""

    seconds: float
    memory_mib: float
    descriptors: int | None
    threads: int
    tasks: int


@dataclass
class Soak:
    """One run's figures.  `differences` says in words what was not as promised."""

    seconds: float
    agents: int
    seed: int
    asked: Counter[str] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=Counter)
    locks: int = 0
    bytes_compared: int = 0
    rows_compared: int = 0
    samples: list[Sample] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)

    async def run(self, folder: Path) -> None:
        async with raw_gateway(script) as gateway:
            with daemon(folder, configuration(gateway.url, 0)) as it:
                await it.started()
                end = time.monotonic() + self.seconds
                async with asyncio.TaskGroup() as parts:
                    for number in range(self.agents):
                        parts.create_task(self._agent(it, random.Random(f"{self.seed} {number}"), end))
                    parts.create_task(self._change(it, gateway.url, end))
                    parts.create_task(self._lock(it, end))
                    parts.create_task(self._watch(it, end))
                await asyncio.sleep(SETTLED_SECONDS)
                await self._compare_rows(it, time.monotonic())
                self._count_rows(it)
                self.samples.append(sample(it))
                self._judge_leaks(it.status()["streams"])
                it.terminate()

    async def _agent(self, it: Daemon, chance: random.Random, end: float) -> None:
        kinds = list(KINDS.values())
        weights = [kind.weight for kind in kinds]
        while time.monotonic() < end:
            async with client(it) as connection:
                while time.monotonic() < end:
                    (kind,) = chance.choices(kinds, weights)
                    self.asked[kind.name] += 1
                    if not await self._ask(it, connection, kind, chance.randrange(1, 1 << 40)):
                        break

    async def _ask(self, it: Daemon, connection: Client, kind: Kind, seed: int) -> bool:
        """Whether the connection is fit for another request."""
        session = f"soak-{seed}"
        held = it.given[:-4] + "AAAA" if kind.name == "bad pass" else None
        fields = (b"x-want: " + kind.name.encode(), b"x-seed: %d" % seed, b"x-sidecar-session: " + session.encode())
        connection.send(request(it, *fields, target=kind.target, held=held))
        if kind.name == "leaves":
            await connection.reader.readuntil(b"\r\n\r\n")
            got = Reply(200)
        else:
            got = await connection.reply()
            self._compare(kind, seed, got)
        if kind.row is not None:
            columns = dict(kind.row)
            if kind.row is COMPLETE:
                columns["bytes_out"] = len(got.body)
                columns |= {} if kind.name == "large" else Content.of(seed).tokens
            self.due.append(Due(session, time.monotonic(), kind, columns))
        return got.is_whole and kind.name != "bad pass"

    def _compare(self, kind: Kind, seed: int, got: Reply) -> None:
        code = got.value(b"x-sidecar-error")
        if (got.status, code and code.decode()) != (kind.status, kind.code):
            self.differences.append(f"{kind.name} {seed}: {got.status} {code!r} {got.body[:200]!r}")
            return
        if kind.code is not None:
            return
        said = body(kind, seed)
        is_as_sent = said.startswith(got.body) and not got.is_whole if kind.is_fault else got.body == said and got.is_whole
        if not is_as_sent:
            self.differences.append(f"{kind.name} {seed}: {len(got.body)} of {len(said)} bytes, whole: {got.is_whole}, or other ones")
        self.bytes_compared += len(got.body)

    async def _change(self, it: Daemon, url: str, end: float) -> None:
        number = 0
        while time.monotonic() < end:
            number += 1
            is_good = number % 3 != 0
            self.reloads["good" if is_good else "bad"] += 1
            it.configure(configuration(url, number) if is_good else f"tags: [r{number}\n")
            await asyncio.sleep(0.2)

    async def _lock(self, it: Daemon, end: float) -> None:
        """Another program writes to the ledger now and then."""
        while time.monotonic() < end - 10:
            await asyncio.sleep(5)
            with contextlib.closing(sqlite3.connect(it.places.ledger, isolation_level=None, timeout=0)) as other:
                with contextlib.suppress(sqlite3.OperationalError):  # the sidecar has it just now
                    other.execute("BEGIN IMMEDIATE")
                    self.locks += 1
                await asyncio.sleep(0.5)

    async def _watch(self, it: Daemon, end: float) -> None:
        while time.monotonic() < end:
            self.samples.append(sample(it))
            await self._compare_rows(it, time.monotonic() - 2 * SETTLED_SECONDS)
            await asyncio.sleep(min(1, self.seconds / 10))

    async def _compare_rows(self, it: Daemon, before: float) -> None:
        ready = [due for due in self.due if due.at < before]
        self.due = [due for due in self.due if due.at >= before]
        await asyncio.to_thread(self._compare_ready, it.places.ledger, ready)

    def _compare_ready(self, ledger: str, ready: list[Due]) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            for due in ready:
                rows = connection.execute("SELECT * FROM requests WHERE session = ?", (due.session,)).fetchall()
                found = [{name: row[name] for name in due.columns} for row in rows]
                if found != [due.columns]:
                    self.differences.append(f"{due.kind.name} {due.session}: rows {found}, not {due.columns}")
                self.rows_compared += 1

    def _count_rows(self, it: Daemon) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{it.places.ledger}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM requests").fetchone()
        if count != self.rows_compared:
            self.differences.append(f"the ledger has {count} rows, not {self.rows_compared}")

    def _judge_leaks(self, streams: object) -> None:
        first, last = self.samples[0], self.samples[-1]
        if self.growth_mib() > MEMORY_LIMIT_MIB:
            self.differences.append(f"memory grew by {self.growth_mib():.1f} MiB in the second half")
        # The connections to the gateway that idle, at most one for each agent.
        if first.descriptors is not None and last.descriptors is not None and last.descriptors > first.descriptors + 2 * self.agents:
            self.differences.append(f"descriptors: {first.descriptors} at the beginning, {last.descriptors} at the end")
        if last.threads > first.threads + POOL_THREADS:
            self.differences.append(f"threads: {first.threads} at the beginning, {last.threads} at the end")
        if last.tasks > first.tasks + self.agents:
            self.differences.append(f"tasks: {first.tasks} at the beginning, {last.tasks} at the end")
        if streams:
            self.differences.append(f"{streams} streams are still open")

    def growth_mib(self) -> float:
        """Of memory in the second half, along the line that fits best."""
        half = self.samples[len(self.samples) // 2 :]
        if len(half) < 3:
            return 0.0
        line = statistics.linear_regression([each.seconds for each in half], [each.memory_mib for each in half])
        return line.slope * (half[-1].seconds - half[0].seconds)

    def table(self) -> str:
        def shares(names: list[str]) -> str:
            return ", ".join(f"{name} {self.asked[name]:,}" for name in names if self.asked[name])

        faults = [kind.name for kind in KINDS.values() if kind.is_fault]
        sound = [kind.name for kind in KINDS.values() if not kind.is_fault]
        first, last = self.samples[0], self.samples[-1]
        lines = {
            "requests": f"{self.asked.total():,} ({shares(sound)})",
            "faults injected": f"{sum(self.asked[name] for name in faults):,} ({shares(faults)})",
            "reloads": f"{self.reloads.total():,} ({self.reloads['good']:,} good, {self.reloads['bad']:,} bad)",
            "ledger locked": f"{self.locks:,} times",
            "bytes compared": f"{self.bytes_compared:,}",
            "rows compared": f"{self.rows_compared:,}",
            "memory": f"{first.memory_mib:.1f} -> {last.memory_mib:.1f} MiB, {self.growth_mib():+.2f} MiB in the second half",
            "descriptors": f"{first.descriptors} -> {last.descriptors}",
            "threads": f"{first.threads} -> {last.threads}",
            "tasks": f"{first.tasks} -> {last.tasks}",
            "differences": f"{len(self.differences):,}",
        }
        head = f"soak: {self.seconds / 60:.1f} min, {self.agents} agents, seed {self.seed}"
        return "\n".join([head, *(f"  {name:<16} {value}" for name, value in lines.items()), *self.differences[:20]])


def configuration(url: str, number: int) -> str:
    return f"""gateway: there
tags: [r{number}]
timeouts: {{first_byte: {SILENCE_SECONDS}s}}
gateways:
  there: {{base_url: "{url}", credential: {{env: THERE_KEY}}, headers: {{x-reload: r{number}}}}}
"""


def sample(it: Daemon) -> Sample:
    tasks = int(it.status()["tasks"])
    if sys.platform != "linux":
        return Sample(time.monotonic(), 0.0, None, 0, tasks)
    pid = it.process.pid
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = None
    with contextlib.suppress(PermissionError):  # not dumpable: for root's eyes only
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Sample(time.monotonic(), int(status["VmRSS"].split()[0]) / 1024, descriptors, int(status["Threads"]), tasks)
