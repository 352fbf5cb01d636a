"""A gateway that refuses the key, or that nobody reaches, is remembered until the next success, and named where people look."""

from __future__ import annotations

import json
import time

from fakes.raw import raw_gateway, reply
from fakes.running import ask, one_gateway, running

from sidecar.launch.troubles import words

ENVELOPE = b'{"type":"error","error":{"type":"authentication_error","message":"no"}}'
MESSAGE = b'{"type":"message","content":[]}'


async def troubles(sidecar):
    got = await ask(sidecar, target=b"/_sidecar/status", method=b"GET", body=None, held=sidecar.minted(scope="control"))
    return json.loads(got.body)["troubles"]


async def statuses(talk):
    """Answers with the status that a request asks for."""
    while incoming := await talk.request():
        status = incoming.values(b"x-want")[0]
        await talk.send(reply(MESSAGE if status.startswith(b"200") else ENVELOPE, status=status))


async def test_a_refused_key_is_remembered_until_the_next_success(tmp_path):
    async with raw_gateway(statuses) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        assert await troubles(sidecar) == []
        assert (await ask(sidecar, b"x-want: 401 Unauthorized")).body == ENVELOPE
        (trouble,) = await troubles(sidecar)
        assert abs(trouble.pop("at") - time.time()) < 60
        assert trouble == {"gateway": "there", "kind": "refused", "status": 401, "why": "", "beside": False}
        assert (await ask(sidecar, b"x-want: 500 No")).status == 500
        assert await troubles(sidecar) == [], "a gateway that fails otherwise has taken the key"
        await ask(sidecar, b"x-want: 401 Unauthorized")
        assert (await ask(sidecar, b"x-want: 200 OK")).status == 200
        assert await troubles(sidecar) == []


async def test_another_key_may_have_been_stored(tmp_path):
    async with raw_gateway(statuses) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        await ask(sidecar, b"x-want: 401 Unauthorized")
        forget = {"target": b"/_sidecar/forget", "method": b"POST", "body": b"{}", "held": sidecar.minted(scope="control")}
        assert (await ask(sidecar, **forget)).status == 204
        assert await troubles(sidecar) == []


async def test_a_gateway_that_is_not_reached_is_remembered_with_the_reason(tmp_path, unused_tcp_port):
    async with raw_gateway(statuses) as there, running(tmp_path, one_gateway(f"http://127.0.0.1:{unused_tcp_port}")) as sidecar:
        assert (await ask(sidecar)).value(b"x-sidecar-error") == b"unreachable"
        (first,) = await troubles(sidecar)
        assert (first["kind"], first["status"]) == ("unreachable", None)
        assert str(unused_tcp_port) in first["why"]
        await ask(sidecar)
        assert await troubles(sidecar) == [first], "it began with the first failure"
        (tmp_path / "config.yaml").write_text(one_gateway(there.url))
        assert (await ask(sidecar, b"x-want: 200 OK")).status == 200
        assert await troubles(sidecar) == []


async def test_the_status_line_gets_it_with_the_session(tmp_path):
    async with raw_gateway(statuses) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        await ask(sidecar, b"x-want: 401 Unauthorized")
        await sidecar.rows()
        got = await ask(sidecar, target=b"/_sidecar/usage", method=b"GET", body=None)
        assert json.loads(got.body)["trouble"]["status"] == 401


def test_the_words_say_when_and_what_to_type():
    refused = {"gateway": "vercel", "kind": "refused", "at": 0, "status": 401, "why": "", "beside": False}
    assert words(refused) == "vercel refused the key (401, 00:00): sidecar login vercel"
    assert words(refused | {"beside": True}) == "vercel refused the login or the key (401, 00:00): sidecar login vercel"
    unreachable = refused | {"kind": "unreachable", "status": None, "why": "no address"}
    assert words(unreachable) == "since 00:00: no address"
