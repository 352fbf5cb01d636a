"""Configuration changes, good and bad, while streams run: no stream is affected, and no request goes out half by one and half by another."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import hypothesis
import pytest
from fakes.process import until
from fakes.raw import raw_gateway, reply
from fakes.running import ask, client, request, running

DEEP = hypothesis.settings.get_current_profile_name() == "deep"
CHANGES = 1000 if DEEP else 120
STREAMS = 50
KEYS = 5

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def good(number: int, url: str, folder: Path) -> str:
    """Every part of a request that the configuration decides says `number`."""
    return f"""gateway: there
tags: [v{number}]
gateways:
  there:
    base_url: {url}/v{number}
    credential: {{file: {folder}/key-{number % KEYS}}}
    headers: {{x-version: v{number}, x-tags: "{{tags}}"}}
    models: {{asked: served-{number}}}
"""


def bad(number: int, sound: str) -> str:
    return [
        "",
        "gateway: [unclosed\n",
        sound.replace("gateway: there", "gateway: elsewhere"),
        sound.replace("headers:", "haeders:"),
        sound.replace("http://", "ftp://"),
        sound + "tags: [twice]\n",
        sound.replace(f"x-version: v{number}", "x-version: vck_0123456789abcdef0123456789abcdef"),
    ][number % 7]


def written(path: Path, text: str, *, at_once: bool) -> None:
    """As editors do it: a new file in place of the old one, or the old one emptied and filled."""
    if not at_once:
        path.write_text(text)
        return
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    os.replace(new, path)


class Gateway:
    """Answers at once; a request with `x-want: stream` is kept open, and gets a chunk whenever `tell` is called."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, str, bytes]] = []
        self.streams: list[object] = []

    async def script(self, talk) -> None:
        while incoming := await talk.request():
            if incoming.values(b"x-want"):
                await talk.send(HEAD)
                self.streams.append(talk)
                await asyncio.Event().wait()
            base = incoming.target.split(b"/")[1].decode()
            version, tags, key = (incoming.values(name)[0].decode() for name in (b"x-version", b"x-tags", b"x-api-key"))
            self.asked.append((base, version, tags, key, incoming.body))
            await talk.send(reply())

    async def tell(self, data: bytes) -> None:
        for talk in self.streams:
            await talk.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        for talk in self.streams:
            await talk.send(b"0\r\n\r\n")


def of_one_configuration(number: int) -> tuple[str, str, str, str, bytes]:
    return f"v{number}", f"v{number}", f"v{number}", f"key-of-{number % KEYS}", b'{"model":"served-%d"}' % number


async def asks_until(done: asyncio.Event, sidecar) -> None:
    while not done.is_set():
        got = await ask(sidecar, body=b'{"model":"asked"}')
        assert got.status == 200, got


@contextlib.asynccontextmanager
async def open_streams(sidecar, gateway: Gateway):
    async with contextlib.AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(client(sidecar)) for _ in range(STREAMS)]
        for agent in agents:
            agent.send(request(sidecar, b"x-want: stream"))
        replies = [asyncio.ensure_future(agent.reply()) for agent in agents]
        await until(lambda: len(gateway.streams) == STREAMS)
        yield replies


@pytest.mark.timeout(600 if DEEP else 60)
async def test_no_stream_is_affected_and_no_request_is_half_old_half_new(tmp_path):
    for number in range(KEYS):
        (tmp_path / f"key-{number}").write_text(f"key-of-{number}\n")
        (tmp_path / f"key-{number}").chmod(0o600)
    gateway = Gateway()
    said = b""
    async with (
        raw_gateway(gateway.script) as there,
        running(tmp_path / "home", good(0, there.url, tmp_path)) as sidecar,
        open_streams(sidecar, gateway) as replies,
    ):
        done = asyncio.Event()
        asking = [asyncio.ensure_future(asks_until(done, sidecar)) for _ in range(3)]
        in_force = 0
        file = sidecar.home / "config.yaml"
        for number in range(1, CHANGES + 1):
            sound = good(number, there.url, tmp_path)
            is_good = number % 3 != 0
            written(file, sound if is_good else bad(number, sound), at_once=number % 2 == 0)
            in_force = number if is_good else in_force
            got = await ask(sidecar, b"x-sidecar-session: probe", body=b'{"model":"asked"}')
            assert (got.status, of_one_configuration(in_force) in gateway.asked[-8:]) == (200, True)
            assert (sidecar.life._live.error is None) == is_good
            if number % 4 == 0:
                event = b"event: ping\ndata: %d\n\n" % number
                said += event
                await gateway.tell(event)
        done.set()
        await gateway.end()
        got = await asyncio.gather(*replies)
        assert all(each.is_whole and each.body == said for each in got)
        await asyncio.gather(*asking)
        rows = await sidecar.rows(STREAMS + len(gateway.asked))
        assert [row["bytes_out"] for row in rows if row["tags"] == '["v0"]' and row["bytes_out"] > 2] == [len(said)] * STREAMS
        assert {row["status"] for row in rows} == {200}
    assert len(gateway.asked) > CHANGES
    whole = {of_one_configuration(number) for number in range(CHANGES + 1) if number % 3 or not number}
    assert set(gateway.asked) <= whole
