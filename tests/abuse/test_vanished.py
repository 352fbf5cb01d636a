"""Peers that vanish without a packet: a cut cable, dropped packets, a machine that slept."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from collections import Counter

import pytest
from fakes.cable import cable
from fakes.leaks import nothing_left_behind
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, client, one_gateway, request, running, until
from fakes.sink import Sink

from sidecar.gateways.gateway import Auth, Gateway, Secret
from sidecar.proxy import dial
from sidecar.proxy.upstream import Upstream

OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def one_event_then_nothing(talk):
    await talk.request()
    await talk.send(OPEN, b"3\r\n:\n\n\r\n")
    await talk.reader.read()


@pytest.mark.parametrize("limit", ["timeouts: {first_byte: 100ms}\n", ""], ids=["limited", "not limited"])
async def test_a_gateway_that_vanishes_before_its_reply(tmp_path, limit):
    """With a limit the agent is told; without one it waits as long as it likes, and its leaving ends it all."""
    async with (
        nothing_left_behind(),
        raw_gateway(says(reply())) as there,
        cable(there.port) as way,
        running(tmp_path, one_gateway(way.url) + limit) as sidecar,
    ):
        way.is_down = True
        async with client(sidecar) as agent:
            agent.send(request(sidecar))
            if limit:
                assert (await agent.reply()).value(b"x-sidecar-error") == b"timeout_first_byte"
            else:
                await until(lambda: way.connections)
        assert [row["outcome"] for row in await sidecar.rows()] == ["timeout" if limit else "client_cancelled"]
        assert there.requests == []


@pytest.mark.parametrize("limit", ["timeouts: {idle: 100ms}\n", ""], ids=["limited", "not limited"])
async def test_a_gateway_that_vanishes_in_its_reply(tmp_path, limit):
    async with (
        nothing_left_behind(),
        raw_gateway(one_event_then_nothing) as there,
        cable(there.port) as way,
        running(tmp_path, one_gateway(way.url) + limit) as sidecar,
    ):
        async with client(sidecar) as agent:
            agent.send(request(sidecar))
            await agent.reader.readuntil(b":\n\n\r\n")
            way.cut()
            if limit:
                assert await agent.reader.read() == b""  # no last chunk
        assert [row["outcome"] for row in await sidecar.rows()] == ["timeout" if limit else "client_cancelled"]


async def test_a_gateway_that_vanishes_behind_its_reply_costs_one_request_and_its_connection(tmp_path):
    async with (
        raw_gateway(says(reply(b'{"type":"message","content":[]}'))) as there,
        cable(there.port) as way,
        running(tmp_path, one_gateway(way.url) + "timeouts: {first_byte: 100ms}\n") as sidecar,
    ):
        assert (await ask(sidecar)).status == 200
        way.cut()
        assert (await ask(sidecar)).value(b"x-sidecar-error") == b"timeout_first_byte"
        assert (await ask(sidecar)).status == 200
        assert [row["outcome"] for row in await sidecar.rows(3)] == ["complete", "timeout", "complete"]
        assert (len(there.requests), way.connections) == (2, 2)


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
async def test_after_a_sleep_no_request_waits_for_a_connection_of_before(seconds):
    """The wall clock has gone on (or was set) while the monotonic one stood still."""
    wall = 1_790_000_000.0
    async with nothing_left_behind(), raw_gateway(says(reply())) as there, cable(there.port) as way:
        upstream = Upstream(lambda _name: None, clocks=lambda: (wall, 100.0))
        gateway = Gateway(name="g", preset=None, base_url=way.url, auth=Auth("x-api-key"), credential=Secret(()), proxy="none")

        async def status():
            with contextlib.closing(await upstream.send(gateway, "GET", "/", [], None, None)) as got:
                message = await got.head(2)
                await got.pour(Sink())
                return message.status

        assert [await status(), await status()] == [200, 200]
        assert way.connections == 1
        way.cut()
        wall += seconds
        assert await status() == 200
        assert way.connections == 2
        upstream.close()


async def test_an_agent_that_vanishes_in_its_request_or_its_reply_holds_up_nobody_and_no_stop(tmp_path):
    async with (
        nothing_left_behind(),
        raw_gateway(one_event_then_nothing) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
        cable(sidecar.port) as way,
    ):
        for sent, awaited in (
            (request(sidecar)[:40], b""),
            (request(sidecar, body=b"x" * 1000)[:-1], b""),
            (request(sidecar), b":\n\n\r\n"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
            writer.write(sent)
            if awaited:
                await reader.readuntil(awaited)
            else:
                await writer.drain()
            way.cut()
            writer.transport.abort()
        assert (await ask(sidecar, method=b"HEAD", target=b"/", body=None)).status == 204
        sidecar.life.stop(now=True)
        rows = await sidecar.rows()
        assert [row["outcome"] for row in rows] == ["upstream_truncated"]


CLONE_NEWNET = 0x40000000


class Namespaces:
    """Two network namespaces joined by one cable; `inside(name)` moves this thread, and the sockets that it makes, into one."""

    def __init__(self, here: str, there: str) -> None:
        self.here = here
        self.there = there
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def enter(self, name: str) -> None:
        descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _setns(descriptor)
        finally:
            os.close(descriptor)

    def leave(self) -> None:
        _setns(self._home)

    def drop(self) -> None:
        """From now on every packet that would reach the other side is lost."""
        self.ip("-n", self.there, "link", "set", "there", "down")

    def mend(self) -> None:
        self.ip("-n", self.there, "link", "set", "there", "up")

    def close(self) -> None:
        self.leave()
        os.close(self._home)


def _setns(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.fixture
def namespaces():
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root and `ip`")
    here, there = f"sidecar-{os.getpid()}-a", f"sidecar-{os.getpid()}-b"
    both = Namespaces(here, there)
    try:
        try:
            both.ip("netns", "add", here)
            both.ip("netns", "add", there)
            both.ip("link", "add", "here", "netns", here, "type", "veth", "peer", "name", "there", "netns", there)
        except (subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        for name, device, address in ((here, "here", "10.77.0.1/24"), (there, "there", "10.77.0.2/24")):
            both.ip("-n", name, "addr", "add", address, "dev", device)
            both.ip("-n", name, "link", "set", device, "up")
            both.ip("-n", name, "link", "set", "lo", "up")
        yield both
    finally:
        both.close()
        for name in (here, there):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.fixture
def impatient(monkeypatch):
    """The product's 20 s and 60 s are the kernel's business; deep runs wait for them."""
    if os.environ.get("HYPOTHESIS_PROFILE") != "deep":
        monkeypatch.setattr(dial, "USER_TIMEOUT_MS", 1000)
        monkeypatch.setattr(dial, "KEEPALIVE_SECONDS", 1)
        monkeypatch.setattr(dial, "KEEPALIVE_INTERVAL_SECONDS", 1)


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("impatient")
async def test_when_packets_are_dropped_every_exchange_ends_by_itself(tmp_path, namespaces):
    """On a new connection, on an idle one and in a reply: nobody sends an end, and no limit is configured."""
    namespaces.enter(namespaces.there)
    listener = socket.create_server(("10.77.0.2", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    namespaces.enter(namespaces.here)

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/stream" in head:
                    writer.write(OPEN + b"3\r\n:\n\n\r\n")
                elif b"/quick" in head:
                    writer.write(reply(b"quick"))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.transport.abort()

    server = await asyncio.start_server(serve, sock=listener)
    allowed = "    allow_plaintext: true\ntimeouts: {connect: none}\n"
    try:
        async with running(tmp_path, one_gateway(f"http://10.77.0.2:{port}", allowed)) as sidecar:
            get = {"method": b"GET", "body": None}
            async with client(sidecar) as streaming, client(sidecar) as idle, client(sidecar) as second, client(sidecar) as third:
                streaming.send(request(sidecar, target=b"/stream", **get))
                await streaming.reader.readuntil(b":\n\n\r\n")
                assert (await ask(sidecar, target=b"/quick", **get)).body == b"quick"  # leaves an idle connection
                namespaces.drop()
                agents = (idle, second, third)
                for agent in agents:
                    agent.send(request(sidecar, target=b"/quick", **get))
                *replies, cut = await asyncio.gather(*(agent.reply() for agent in agents), streaming.reader.read())
            # Which of the three got the idle connection is for the event loop to say.  The two others had none, so nothing was sent.
            codes = Counter(each.value(b"x-sidecar-error") for each in replies)
            assert codes == {b"upstream_closed": 1, b"unreachable": 2}
            assert cut == b""  # no last chunk
            namespaces.mend()
            assert (await ask(sidecar, target=b"/quick", **get)).body == b"quick"
            outcomes = sorted((row["path"], row["outcome"]) for row in await sidecar.rows(6))
            assert outcomes == [
                ("/quick", "complete"),
                ("/quick", "complete"),
                *[("/quick", "unreachable")] * 2,
                ("/quick", "upstream_truncated"),
                ("/stream", "upstream_truncated"),
            ]
    finally:
        server.close()
