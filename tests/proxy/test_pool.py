"""Connections that wait: held ready before they are needed, never many, never for long; and TLS sessions that are taken up again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys

import pytest
import trustme
from fakes.leaks import Held, nothing_left_behind
from fakes.raw import raw_gateway, reply, says
from fakes.running import until
from fakes.sink import Sink
from fakes.tunnel import proxy

from sidecar.config.settings import Timeouts
from sidecar.errors import Refusal
from sidecar.gateways.gateway import Auth, Gateway, Secret
from sidecar.proxy import dial, pool
from sidecar.proxy.upstream import Upstream

LOOPS = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


@contextlib.contextmanager
def upstream(variables=None):
    it = Upstream(({} if variables is None else variables).get)
    try:
        yield it
    finally:
        it.close()


def gateway(url, name="g", **more):
    return Gateway(name=name, preset=None, base_url=url, auth=Auth("x-api-key"), credential=Secret(()), **more)


async def status(upstream, gateway, timeouts=None):
    timeouts = timeouts or Timeouts()
    with contextlib.closing(await upstream.send(gateway, "GET", "/", [], None, timeouts.connect)) as got:
        message = await got.head(timeouts.first_byte)
        await got.pour(Sink())
        return message.status


async def opening():
    """How many connections are being opened unasked; returns when they are open, or have failed."""
    tasks = [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "Pool._dial"]
    if tasks:
        await asyncio.wait(tasks)
    return len(tasks)


def server_side(authority, *names, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.fixture
def authority(tmp_path):
    """Each test its own: sessions are kept for as long as the certificates they rest on."""
    authority = trustme.CA()
    authority.path = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(authority.path)
    return authority


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.03)
    monkeypatch.setattr(pool, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(pool, "UNWANTED_SECONDS", 0.01)


async def test_nothing_is_sent_on_a_warm_connection_until_a_request_takes_it():
    heard = []

    async def script(talk):
        while data := await talk.reader.read(65536):
            heard.append(data)
            await talk.send(reply())

    async with nothing_left_behind(), raw_gateway(script) as there:
        with upstream() as way:
            for _ in range(3):
                way.warm(gateway(there.url), Timeouts())
            assert await opening() == 1
            way.warm(gateway(there.url), Timeouts())
            assert await opening() == 0
            assert await status(way, gateway(there.url)) == 200
            assert there.connections == 1
            assert heard == [b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % there.port]


async def test_one_request_waits_for_the_connection_on_its_way_and_others_open_their_own(authority):
    async with raw_gateway(says(reply()), ssl=server_side(authority, "127.0.0.1")) as there:
        with upstream() as way:
            named = gateway(there.url, ca_file=authority.path)
            way.warm(named, Timeouts())
            assert await status(way, named) == 200
            assert there.connections == 1
        with upstream() as way:
            way.warm(named, Timeouts())
            assert await asyncio.gather(*(status(way, named) for _ in range(3))) == [200, 200, 200]
            assert there.connections == 1 + 3


async def test_an_agent_that_leaves_meanwhile_leaves_the_connection_to_the_next(authority):
    async with nothing_left_behind(), raw_gateway(says(reply()), ssl=server_side(authority, "127.0.0.1")) as there:
        with upstream() as way:
            named = gateway(there.url, ca_file=authority.path)
            way.warm(named, Timeouts())
            agent = asyncio.ensure_future(status(way, named))
            await asyncio.sleep(0)
            agent.cancel()
            assert await opening() == 1
            assert agent.cancelled()
            assert await status(way, named) == 200
            assert there.connections == 1


async def test_what_cannot_be_reached_is_tried_again_only_by_requests():
    """A laptop that wakes without a network, a proxy that is gone, a certificate that is not trusted."""

    async def no_tls_here(talk):
        await talk.reader.read(1)
        await talk.send(reply())

    async with nothing_left_behind(), raw_gateway(no_tls_here) as plain:
        with upstream() as way:
            no_tls = gateway(plain.url.replace("http:", "https:"))
            way.warm(no_tls, Timeouts())
            assert await opening() == 1
            way.warm(no_tls, Timeouts())
            assert await opening() == 0
            with pytest.raises(Refusal, match="TLS"):
                await status(way, no_tls)
            way.warm(no_tls, Timeouts())
            assert await opening() == 0
            assert plain.connections == 2
            way.warm(gateway("https://127.0.0.1:1", ca_file="/nowhere.pem"), Timeouts())
            assert await opening() == 0


async def test_a_request_makes_its_own_attempt_after_the_one_it_waited_for_has_failed(monkeypatch):
    dialled = []

    async def at_first_in_vain(endpoint, seconds):
        dialled.append(seconds)
        if len(dialled) == 1:
            await asyncio.sleep(0.02)
            raise Refusal("unreachable", "the network is not up yet")
        return await dial.dial(endpoint, seconds)

    monkeypatch.setattr(pool, "dial", at_first_in_vain)
    async with raw_gateway(says(reply())) as there:
        with upstream() as way:
            way.warm(gateway(there.url), Timeouts(connect=5))
            assert await status(way, gateway(there.url), Timeouts(connect=5)) == 200
    warm, own = dialled
    assert warm == 5
    assert 0 < own < 5 - 0.01  # one limit for both


async def test_the_limit_for_connecting_holds_for_warm_ones_too():
    async def silent(talk):
        await talk.reader.read()

    async with nothing_left_behind(), raw_gateway(silent) as there:  # it accepts, and never answers the TLS greeting
        with upstream() as way:
            named = gateway(there.url.replace("http:", "https:"))
            way.warm(named, Timeouts(connect=0.05))
            with pytest.raises(Refusal, match="no connection"):
                await status(way, named, Timeouts(connect=0.05))


async def test_the_end_does_not_wait_for_a_connection_on_its_way():
    async def silent(talk):
        await talk.reader.read()

    async with raw_gateway(silent) as there, nothing_left_behind():
        with upstream() as way:
            way.warm(gateway(there.url.replace("http:", "https:")), Timeouts(connect=None))
            await until(lambda: there.connections)


@pytest.mark.usefixtures("impatient")
async def test_one_is_held_ready_while_the_gateway_is_in_use_and_then_no_more(monkeypatch):
    async with raw_gateway(says(reply())) as there:
        before = Held.now()
        with upstream() as way:
            assert await status(way, gateway(there.url)) == 200
            await until(lambda: there.connections >= 3)
            assert len(there.requests) == 1
            monkeypatch.setattr(pool, "READY_SECONDS", 0)
            await until(lambda: Held.now().is_within(before))
            assert await status(way, gateway(there.url)) == 200


@pytest.mark.usefixtures("impatient")
async def test_one_that_the_gateway_closes_is_replaced_unless_it_closes_them_at_once(monkeypatch):
    closing = []

    async def script(talk):
        await talk.request()
        await talk.send(reply())
        closing.append(talk)
        await talk.reader.read()

    monkeypatch.setattr(pool, "IDLE_SECONDS", 60)
    async with raw_gateway(script) as there:
        with upstream() as way:
            assert await status(way, gateway(there.url)) == 200
            await asyncio.sleep(2 * pool.UNWANTED_SECONDS)
            closing.pop().fin()
            await until(lambda: there.connections == 2)
            assert await status(way, gateway(there.url)) == 200
            monkeypatch.setattr(pool, "UNWANTED_SECONDS", 60)
            there.lost.clear()
            closing.pop().fin()
            await there.lost.wait()
            assert await status(way, gateway(there.url)) == 200  # not on the one that is gone
            assert (there.connections, len(there.requests)) == (3, 3)


async def test_of_many_that_become_idle_the_latest_are_kept(monkeypatch):
    monkeypatch.setattr(pool, "MOST_IDLE", 3)
    lost = []

    async def script(talk):
        await says(reply())(talk)
        lost.append(talk)

    async with raw_gateway(script) as there:
        with upstream() as way:
            named = gateway(there.url)

            async def at_once(count):
                assert await asyncio.gather(*(status(way, named) for _ in range(count))) == [200] * count

            await at_once(5)
            await until(lambda: len(lost) == 2)
            await at_once(3)
            assert there.connections == 5
            await at_once(4)
            assert there.connections == 6


async def test_a_certificate_file_that_has_changed_leaves_nothing_of_the_old_trust(authority):
    """Neither an idle connection nor a session."""
    async with raw_gateway(says(reply()), ssl=server_side(authority, "127.0.0.1")) as there:
        with upstream() as way:
            named = gateway(there.url, ca_file=authority.path)
            assert await status(way, named) == 200
            trustme.CA().cert_pem.write_to_path(authority.path)
            os.utime(authority.path, ns=(1, 1))
            with pytest.raises(Refusal, match="certificate"):
                await status(way, named)
            assert len(there.requests) == 1


async def test_changed_variables_are_heeded_and_what_went_the_old_way_is_closed(authority):
    variables = {}
    async with raw_gateway(says(reply()), ssl=server_side(authority, "g.example")) as there, proxy() as (old, _), proxy() as (new, seen):
        with upstream(variables) as way:
            named = gateway(f"https://g.example:{there.port}", ca_file=authority.path)
            variables["HTTPS_PROXY"] = old
            assert [await status(way, named), await status(way, named)] == [200, 200]
            assert (there.connections, there.lost.is_set()) == (1, False)
            variables["HTTPS_PROXY"] = new
            way.look_again()
            assert await status(way, named) == 200
            await there.lost.wait()
            assert (there.connections, len(seen)) == (2, 1)


# TLS sessions


async def resumptions(authority, version, ways):
    """One request each, on a connection of its own; whether the gateway saw a session that it knew."""
    seen = []

    async def script(talk):
        seen.append(talk.writer.get_extra_info("ssl_object").session_reused)
        await says(reply(), then="fin")(talk)

    async with raw_gateway(script, ssl=server_side(authority, "127.0.0.1", "localhost", version=version)) as there:
        for host, files in ways:
            with upstream(files) as way:
                assert await status(way, gateway(there.url.replace("127.0.0.1", host), ca_file=authority.path)) == 200
    return seen


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_session_is_taken_up_again_for_the_same_name_under_the_same_trust_only(authority, tmp_path, loop, version):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    ways = [("127.0.0.1", {}), ("127.0.0.1", {}), ("localhost", {}), ("127.0.0.1", {"NODE_EXTRA_CA_CERTS": str(other)}), ("127.0.0.1", {})]
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        assert runner.run(resumptions(authority, version, ways)) == [False, True, False, False, True]


@pytest.mark.parametrize("loop", LOOPS)
def test_sessions_are_taken_up_again_behind_a_proxy(authority, loop):
    async def through_a_tunnel():
        seen = []

        async def script(talk):
            seen.append(talk.writer.get_extra_info("ssl_object").session_reused)
            await says(reply(), then="fin")(talk)

        async with raw_gateway(script, ssl=server_side(authority, "gateway.example")) as there, proxy() as (url, _):
            named = gateway(f"https://gateway.example:{there.port}", ca_file=authority.path, proxy=url)
            for _ in range(2):
                with upstream() as way:
                    assert await status(way, named) == 200
        return seen

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        assert runner.run(through_a_tunnel()) == [False, True]


async def test_a_handshake_that_failed_leaves_no_session(authority):
    """What calls itself by the gateway's name without its certificate must not be known the next time."""
    stranger = trustme.CA()
    async with raw_gateway(says(reply()), ssl=server_side(stranger, "127.0.0.1")) as there:
        named = gateway(there.url, ca_file=authority.path)
        for _ in range(2):
            with upstream() as way, pytest.raises(Refusal, match="certificate"):
                await status(way, named)
        assert there.requests == []


@pytest.mark.parametrize(("says_so", "connections"), [(b"timeout=5, max=100", 1), (b"Timeout = 1", 2), (b"max=100", 1), (b"timeout=x", 1)])
async def test_a_limit_that_the_gateway_names_is_kept(says_so, connections):
    """One second of it is left to the request's own way there: of `timeout=1` nothing is."""
    async with raw_gateway(says(reply(b"ok", b"Keep-Alive: " + says_so))) as there:
        with upstream() as way:
            assert [await status(way, gateway(there.url)), await status(way, gateway(there.url))] == [200, 200]
        assert there.connections == connections
