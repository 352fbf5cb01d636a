"""A limit counts silence, and no time in which the process stood still."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from sidecar.limits import STOOD_STILL_SECONDS, Limit, limited


class Ear(asyncio.Protocol):
    heard_at = 0.0

    def data_received(self, _data: bytes) -> None:
        self.heard_at = time.monotonic()


@contextlib.asynccontextmanager
async def listening():
    """Something that listens, and the socket to talk to it."""
    ours, theirs = socket.socketpair()
    transport, ear = await asyncio.get_running_loop().create_connection(Ear, sock=ours)
    try:
        yield ear, theirs
    finally:
        transport.close()
        theirs.close()
        await asyncio.sleep(0)


async def rounds(count: int = 6) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_silence_ends_it():
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with limited(0.05):
            await asyncio.Event().wait()
    assert time.monotonic() - begun >= 0.05


async def test_without_a_number_there_is_none():
    async with limited(None):
        await asyncio.sleep(0)


async def test_what_is_over_in_time_is_not_disturbed_later():
    async with limited(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)


async def test_every_sign_of_life_begins_it_anew():
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with limited(0.05, heard_at=lambda: min(time.monotonic(), begun + 0.1)):
            await asyncio.Event().wait()
    assert time.monotonic() - begun >= 0.15


@pytest.mark.parametrize("still_seconds", [0.06, 0.5], ids=["a moment", "long"])
async def test_what_came_while_the_process_stood_still_is_heard_before_it_is_judged(still_seconds):
    expired = []
    async with listening() as (ear, peer):
        limit = Limit(0.05, lambda: expired.append(True), lambda: ear.heard_at)
        peer.send(b"x")
        time.sleep(still_seconds)  # noqa: ASYNC251  # the whole process stands still
        await rounds()
        limit.cancel()
    assert (expired, ear.heard_at > 0) == ([], True)


async def test_time_in_which_the_process_stood_still_does_not_count():
    expired = []
    Limit(0.3, lambda: expired.append(True))
    time.sleep(0.3 + STOOD_STILL_SECONDS * 2)  # noqa: ASYNC251  # the whole process stands still
    await rounds()
    assert not expired
    await asyncio.sleep(STOOD_STILL_SECONDS)
    assert not expired
    async with asyncio.timeout(5):
        while not expired:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
