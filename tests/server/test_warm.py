"""A connection to the gateway is there when an agent's first request comes, and nothing has been sent on it."""

from __future__ import annotations

import asyncio

import pytest
from fakes.leaks import nothing_left_behind
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, one_gateway, running, until
from fakes.tunnel import proxy

from sidecar.launch import client


@pytest.mark.parametrize("target", [b"/", b"/api/hello"])
async def test_an_agents_bare_head_warms_the_active_gateways_connection(tmp_path, target):
    async with nothing_left_behind(), raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        assert (await ask(sidecar, method=b"HEAD", target=target, body=None)).status == 204
        await until(lambda: there.connections)
        assert there.requests == []
        assert (await ask(sidecar)).status == 200
        assert (there.connections, len(there.requests)) == (1, 1)


@pytest.mark.parametrize("named", ["", "there", "other"])
async def test_run_has_a_connection_ready_to_the_gateway_it_names(tmp_path, named):
    async with nothing_left_behind(), raw_gateway(says(reply())) as there, raw_gateway(says(reply())) as other:
        second = f"  other:\n    base_url: {other.url}\n    credential: {{env: THERE_KEY}}\n"
        async with running(tmp_path, one_gateway(there.url, second)) as sidecar:
            assert await asyncio.to_thread(client.verified, sidecar.places, named) is not None
            await until(lambda: there.connections + other.connections)
            assert (there.connections, other.connections) == ((0, 1) if named == "other" else (1, 0))
            assert there.requests + other.requests == []


@pytest.mark.parametrize("warm", [None, "unknown"])
async def test_other_commands_and_other_gateways_open_nothing(tmp_path, warm):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        assert await asyncio.to_thread(client.verified, sidecar.places, warm) is not None
        assert (await ask(sidecar, method=b"GET", target=b"/_sidecar/health?warm=unknown", body=None)).status == 200
        assert not [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "Pool._dial"]
        assert there.connections == 0


async def test_a_shell_with_another_proxy_is_heeded_by_the_next_request(tmp_path):
    async with proxy() as (url, seen), running(tmp_path, one_gateway("http://gateway.example", "    allow_plaintext: true\n")) as sidecar:
        state = await asyncio.to_thread(client.verified, sidecar.places)
        for port in (1, None):  # nobody is there, and then somebody
            handed = {"HTTP_PROXY": url if port is None else f"http://127.0.0.1:{port}"}
            await asyncio.to_thread(client.ask, sidecar.places, state, "POST", "/_sidecar/variables", handed)
            got = await ask(sidecar)
            assert (got.status == 200) is (port is None)
        assert seen[0].startswith(b"POST http://gateway.example/v1/messages?beta=true HTTP/1.1\r\n")
