"""Nothing that does not hold a pass gets in, and what is refused is told in words an agent shows."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, client, one_gateway, request, running

from sidecar.launch.passes import health_proof
from sidecar.launch.passkey import load, rotate


@pytest.fixture
async def both(tmp_path):
    async with (
        raw_gateway(says(reply())) as there,
        running(tmp_path, one_gateway(there.url) + "hosts: [host.docker.internal]\n") as sidecar,
    ):
        yield there, sidecar


def code(got):
    value = got.value(b"x-sidecar-error")
    return value.decode() if value else None


async def test_a_pass_opens_the_way_in_each_of_three_fields_and_never_goes_on(both):
    there, sidecar = both
    held = sidecar.given.encode()
    for fields in (
        [b"x-sidecar-pass: " + held],
        [b"Authorization: Bearer " + held],
        [b"x-api-key: " + held],
        [b"x-api-key: " + held, b"Authorization: bearer " + held],
    ):
        async with client(sidecar) as agent:
            agent.send(b"GET /v1/models HTTP/1.1\r\nHost: localhost:1\r\n" + b"".join(each + b"\r\n" for each in fields) + b"\r\n")
            assert (await agent.reply()).status == 200
    assert not any(b"sidecar-pass" in value for each in there.requests for _, value in each.fields)


async def test_a_bad_pass_is_not_rescued_by_a_good_one(both):
    there, sidecar = both
    got = await ask(sidecar, b"x-sidecar-pass: sidecar-pass-forged")
    assert (got.status, code(got), got.value(b"x-should-retry")) == (401, "bad_pass", b"false")
    assert there.requests == []


async def test_every_fault_of_a_pass_gets_the_same_answer(both):
    there, sidecar = both
    good = sidecar.given
    bodies = set()
    for held in (
        good[:-1],
        good[:-2] + ("BB" if good.endswith("AA") else "AA"),
        good + "x",
        good.replace("sidecar-pass-", "sidecar-pass-A"),
        "sidecar-pass-",
        "sidecar-pass-." + good.split(".")[1],
    ):
        got = await ask(sidecar, held=held)
        assert (got.status, code(got)) == (401, "bad_pass")
        bodies.add(got.body)
    assert len(bodies) == 1
    message = json.loads(bodies.pop())["error"]["message"]
    assert "sidecar run" in message
    rotate(sidecar.places.pass_key)
    assert code(await ask(sidecar)) == "bad_pass"
    assert there.requests == []


async def test_a_pass_that_has_ended_says_when_and_which_it_was(both):
    there, sidecar = both
    ended = int(time.time()) - 1
    got = await ask(sidecar, held=sidecar.minted(expires=ended, session="nightly", gateway="there"))
    assert (got.status, code(got)) == (401, "bad_pass")
    when = datetime.fromtimestamp(ended).astimezone()
    message = json.loads(got.body)["error"]["message"]
    assert f"this agent's pass ended on {when:%Y-%m-%d at %H:%M} (run " in message
    assert ", gateway there, session nightly)" in message
    assert there.requests == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([b"Host: evil.example"], "forbidden_host"),
        ([b"Host: 127.0.0.1.evil.example:4180"], "forbidden_host"),
        ([b"Host: 10.0.0.1"], "forbidden_host"),
        ([b"Host: "], "forbidden_host"),
        ([b"Host: 0.0.0.0"], "forbidden_host"),
        ([b"Host: 2130706433"], None),  # 127.0.0.1, as resolvers take it
        ([b"Host: localhost.evil.example"], "forbidden_host"),
        ([b"Host: evil.example#127.0.0.1"], "forbidden_host"),
        ([b"Host: [::1].evil.example"], "forbidden_host"),
        ([b"Host: [::]"], "forbidden_host"),
        ([b"Host: 127.0.0.1", b"Origin: null"], "forbidden_origin"),
        ([b"Host: 127.0.0.1", b"Origin: http://127.0.0.1"], "forbidden_origin"),
        ([b"Host: 127.0.0.1", b"Sec-Fetch-Site: cross-site"], "forbidden_origin"),
        ([b"Host: 127.0.0.1", b"Sec-Fetch-Site: same-site"], "forbidden_origin"),
        ([b"Host: 127.0.0.1", b"ORIGIN:"], "forbidden_origin"),
        ([b"Host: localhost:9999"], None),
        ([b"Host: [::1]:4180"], None),
        ([b"Host: HOST.docker.internal"], None),
        ([b"Host: 127.8.8.8", b"Sec-Fetch-Site: none"], None),
    ],
)
@pytest.mark.parametrize("line", [b"GET /v1/models", b"HEAD /", b"GET /_sidecar/health"])
async def test_web_pages_and_rebound_names_stay_out(both, fields, expected, line):
    _, sidecar = both
    async with client(sidecar) as agent:
        lines = [line + b" HTTP/1.1", *fields, b"x-api-key: " + sidecar.given.encode()]
        agent.send(b"\r\n".join(lines) + b"\r\n\r\n")
        got = await agent.reply(is_head=line.startswith(b"HEAD"))
        assert code(got) == expected
        assert got.status == (403 if expected else 204 if line.startswith(b"HEAD") else 200)


async def test_agents_warm_up_without_a_pass(both):
    there, sidecar = both
    for target in (b"/", b"/api/hello"):
        async with client(sidecar) as agent:
            agent.send(b"HEAD " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await agent.reply(is_head=True)).status == 204
    assert there.requests == []
    async with client(sidecar) as agent:
        agent.send(b"HEAD /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await agent.reply(is_head=True)).status == 401


async def test_health_proves_who_it_is(both):
    _, sidecar = both
    async with client(sidecar) as agent:
        agent.send(b"GET /_sidecar/health?nonce=abc HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        health = json.loads((await agent.reply()).body)
    assert health["name"] == "sidecar"
    assert health["proof"] == health_proof(load(sidecar.places.pass_key), "abc")


async def test_scopes_are_kept_apart(both):
    there, sidecar = both
    control = sidecar.minted(scope="control")
    assert code(await ask(sidecar, held=control)) == "forbidden_scope"
    status = await ask(sidecar, method=b"GET", target=b"/_sidecar/status", body=None)
    assert code(status) == "forbidden_scope"
    status = await ask(sidecar, method=b"GET", target=b"/_sidecar/status", body=None, held=control)
    assert json.loads(status.body)["running"] is True
    assert code(await ask(sidecar, method=b"GET", target=b"/_sidecar/nothing", body=None, held=control)) == "not_found"
    assert there.requests == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"GET http://evil.example/v1 HTTP/1.1"], "bad_request"),
        ([b"OPTIONS * HTTP/1.1"], "bad_request"),
        ([b"GET /v1/a#b HTTP/1.1"], "bad_request"),
        (
            [
                b"GET /v1/responses HTTP/1.1",
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Key: eA==",
                b"Sec-WebSocket-Version: 13",
            ],
            "no_websocket",
        ),
        ([b"GET /v1 HTTP/1.1", b"x-sidecar-gateway: nowhere"], "unknown_gateway"),
        ([b"GET /v1 HTTP/1.1", b"x-sidecar-session: " + b"x" * 300], "bad_header"),
        ([b"GET /v1 HTTP/1.1", b"anthropic-beta: oauth-2025-04-20"], "subscription_login"),
    ],
)
async def test_what_cannot_be_forwarded_is_named(both, lines, expected):
    there, sidecar = both
    async with client(sidecar) as agent:
        agent.send(b"\r\n".join([*lines, b"Host: 127.0.0.1", b"x-api-key: " + sidecar.given.encode()]) + b"\r\n\r\n")
        assert code(await agent.reply()) == expected
    assert there.requests == []


async def test_no_key_is_no_request(tmp_path):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url), {"THERE_KEY": ""}) as sidecar:
        got = await ask(sidecar)
        assert (got.status, code(got)) == (400, "no_credential")
        assert "THERE_KEY" in json.loads(got.body)["error"]["message"]
        assert there.requests == []
        assert sidecar.rows_now() == []


async def test_a_pass_says_who_asks_and_the_ledger_keeps_it(both):
    _, sidecar = both
    held = sidecar.minted("run-9", session="pinned", tags=("a", "b"), project="p", repo="h/o/r", branch="main", gateway="there")
    await ask(sidecar, b"x-sidecar-tags: b, c", b"x-claude-code-session-id: other", b"User-Agent: agent/1 (x)", held=held)
    row = (await sidecar.rows())[0]
    assert json.loads(row["tags"]) == ["a", "b", "c"]
    assert [row[name] for name in ("session", "run", "project", "repo", "branch", "gateway", "client")] == [
        "pinned",
        "run-9",
        "p",
        "h/o/r",
        "main",
        "there",
        "agent",
    ]


async def test_large_and_many_fields_pass(both):
    there, sidecar = both
    await ask(sidecar, b"x-large: " + b"y" * 60_000, *(b"x-%d: z" % number for number in range(300)))
    assert len(there.requests[0].values(b"x-large")[0]) == 60_000
    assert there.requests[0].values(b"x-299") == [b"z"]


async def test_what_is_not_http_gets_the_librarys_plain_refusal(both):
    there, sidecar = both
    for sent in (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ):
        async with client(sidecar) as agent:
            agent.send(sent)
            got = await agent.reader.read()
            assert got.startswith(b"HTTP/1.0 400")
            assert b"Traceback" not in got
    async with client(sidecar) as agent:
        agent.send(request(sidecar))
        assert (await agent.reply()).status == 200
    assert len(there.requests) == 1
