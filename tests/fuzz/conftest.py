"""One sidecar for all examples of a file: each example is a run of the loop that the sidecar lives in."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fakes.leaks import nothing_left_behind
from fakes.raw import Conversation, RawGateway, raw_gateway, reply
from fakes.running import Sidecar, client, one_gateway, request, running

#: What goes to this path is answered properly, whatever the gateway does to the others.
PROPER = b"/v1/proper"
#: Bytes of a body that is kept; a changed request may promise any number.
MOST = 10_000


class Bench:
    """`wire` is what the gateway answers with, piece by piece, before it closes; `proper` and `others` count the requests that
    reached it, `bodies` holds what came with a length.
    """

    def __init__(self, there: RawGateway, sidecar: Sidecar, runner: asyncio.Runner) -> None:
        self.there = there
        self.sidecar = sidecar
        self.wire: list[bytes] = [reply()]
        self.bodies: list[bytes] = []
        self.proper = 0
        self.others = 0
        self._runner = runner

    def run(self, example: Callable[[], Awaitable[None]]) -> None:
        """Nothing is left behind by the example, and the next request is served."""

        async def checked() -> None:
            async with nothing_left_behind():
                await example()
                async with client(self.sidecar) as agent:
                    agent.send(request(self.sidecar, target=PROPER))
                    assert (await agent.reply()).body == b"proper"

        self._runner.run(checked())

    def every_request_has_its_row(self) -> list[dict[str, object]]:
        """The rows of the others."""
        rows = self._runner.run(self._closed_rows())
        assert sum(row["path"] == PROPER.decode() for row in rows) == self.proper
        others = [row for row in rows if row["path"] != PROPER.decode()]
        # An agent that has left may have done so before its request reached the gateway.
        assert sum(row["outcome"] != "client_cancelled" for row in others) <= self.others <= len(others)
        return others

    async def _closed_rows(self) -> list[dict[str, object]]:
        await asyncio.sleep(0.2)  # each is on disk within 100 ms
        rows = self.sidecar.rows_now()
        assert all(row["finished_at"] for row in rows)
        return rows

    async def answer(self, talk: Conversation) -> None:
        head = await talk.reader.readuntil(b"\r\n\r\n")
        if PROPER in head.split(b"\r\n", 1)[0]:
            self.proper += 1
            await talk.send(reply(b"proper", b"Connection: close"))
            return
        self.others += 1
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head, re.IGNORECASE)
        if length and int(length[1]) < MOST:
            self.bodies.append(await talk.reader.readexactly(int(length[1])))
        await talk.send(*self.wire)
        talk.writer.write_eof()
        await talk.reader.read()


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    @contextlib.asynccontextmanager
    async def both() -> AsyncIterator[Bench]:
        async def script(talk: Conversation) -> None:
            await bench.answer(talk)

        models = "    models: {mapped-*: other}\n"
        async with (
            raw_gateway(script) as there,
            running(tmp_path_factory.mktemp("home"), one_gateway(there.url, models)) as sidecar,
        ):
            bench = Bench(there, sidecar, runner)
            yield bench

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        yield runner.run(stack.enter_async_context(both()))
        runner.run(stack.aclose())
