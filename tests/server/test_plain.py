"""An agent's connection: whatever is taken here, handed over or both, every request is answered as it came."""

from __future__ import annotations

import asyncio
import json

import pytest
from fakes.leaks import nothing_left_behind
from fakes.raw import raw_gateway, reply, says
from fakes.running import client, one_gateway, request, running, until

from sidecar.launch.passkey import rotate
from sidecar.proxy import upload
from sidecar.server import listener, plain, through_aiohttp

CHUNKED = b"4\r\n{  }\r\n0\r\n\r\n"


@pytest.fixture
async def both(tmp_path):
    async with nothing_left_behind(), raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        yield there, sidecar


def expire_after(monkeypatch, seconds: float) -> None:
    for module in (plain, listener, through_aiohttp):
        monkeypatch.setattr(module, "KEEPALIVE_SECONDS", seconds)


async def read() -> None:
    """The sidecar shares our event loop: by then it has what was sent."""
    for _ in range(20):
        await asyncio.sleep(0)


def bodies(there):
    return [each.body for each in there.requests]


@pytest.mark.parametrize("cut", [1, 20, 200, -2, -1])
async def test_a_request_in_two_pieces_is_one(both, cut):
    there, sidecar = both
    whole = request(sidecar, body=b'{"a":"%s"}' % (b"x" * 50))
    async with client(sidecar) as agent:
        agent.send(whole[:cut])
        await read()
        agent.send(whole[cut:])
        assert (await agent.reply()).status == 200
        agent.send(whole)
        assert (await agent.reply()).status == 200
    assert bodies(there) == [whole[whole.index(b"{") :]] * 2


async def test_a_body_larger_than_one_read_arrives_as_it_was(both):
    there, sidecar = both
    body = json.dumps({"a": "".join(chr(32 + number * 7 % 90) for number in range(3_000_000))}).encode()
    async with client(sidecar) as agent:
        for _ in range(2):
            agent.send(request(sidecar, body=body))
            assert (await agent.reply()).status == 200
    assert bodies(there) == [body] * 2


async def test_requests_sent_ahead_are_answered_in_their_order(both):
    there, sidecar = both
    sent = [b'{"n":%d}' % number for number in range(20)]
    async with client(sidecar) as agent:
        agent.send(b"".join(request(sidecar, body=body) for body in sent))
        for _ in sent:
            assert (await agent.reply()).status == 200
    assert bodies(there) == sent


async def test_many_requests_sent_ahead_of_a_slow_answer_are_held_back_and_answered(both):
    there, sidecar = both
    body = b'{"a":"%s"}' % (b"x" * 5000)
    async with client(sidecar) as agent:
        agent.send(request(sidecar, body=body) * 60)
        for _ in range(60):
            assert (await agent.reply()).status == 200
    assert bodies(there) == [body] * 60


async def test_plain_and_other_requests_share_a_connection(both):
    there, sidecar = both
    chunked = request(sidecar, b"Transfer-Encoding: chunked", body=None) + CHUNKED
    async with client(sidecar) as agent:
        for sent in (request(sidecar), chunked, request(sidecar), chunked):
            agent.send(sent)
            assert (await agent.reply()).status == 200
        agent.send(request(sidecar, body=b"[]") + chunked + request(sidecar, body=b"[]"))
        for _ in range(3):
            assert (await agent.reply()).status == 200
    assert bodies(there) == [b"{}", b"{  }", b"{}", b"{  }", b"[]", b"{  }", b"[]"]


async def test_other_requests_behind_plain_ones_are_handed_over_in_their_order(both):
    there, sidecar = both
    chunked = request(sidecar, b"Transfer-Encoding: chunked", body=None) + CHUNKED
    async with client(sidecar) as agent:
        agent.send(request(sidecar, body=b"[]") + chunked + request(sidecar, body=b"[1]"))
        for _ in range(3):
            assert (await agent.reply()).status == 200
    assert bodies(there) == [b"[]", b"{  }", b"[1]"]


async def test_lengths_of_one_head_are_each_requests_own(both):
    there, sidecar = both
    sent = [b"{}", b"", b'{"a":1}', b"{ }", b""]
    async with client(sidecar) as agent:
        for body in sent:
            agent.send(request(sidecar, body=body))
            assert (await agent.reply()).status == 200
    assert bodies(there) == sent
    assert [each.values(b"content-length") for each in there.requests] == [[b"%d" % len(body)] for body in sent]


async def test_a_head_that_was_let_in_is_refused_once_its_pass_is_not_valid_any_more(both):
    there, sidecar = both
    sent = request(sidecar)
    async with client(sidecar) as agent:
        for _ in range(2):
            agent.send(sent)
            assert (await agent.reply()).status == 200
        rotate(sidecar.places.pass_key)
        agent.send(sent)
        assert (await agent.reply()).status == 401
    assert len(there.requests) == 2


async def test_a_head_that_was_let_in_goes_where_the_new_configuration_says(both):
    there, sidecar = both
    sent = request(sidecar)
    async with raw_gateway(says(reply())) as other, client(sidecar) as agent:
        agent.send(sent)
        assert (await agent.reply()).status == 200
        (sidecar.home / "config.yaml").write_text(one_gateway(other.url) + "tags: [moved]\n")
        agent.send(sent)
        assert (await agent.reply()).status == 200
        assert (len(there.requests), len(other.requests)) == (1, 1)
    assert [row["tags"] for row in await sidecar.rows(2)] == ["[]", '["moved"]']


async def test_a_refusal_is_seen_by_an_agent_that_is_still_sending(both):
    there, sidecar = both
    body = b"x" * 1_000_000
    async with client(sidecar) as agent:
        agent.send(request(sidecar, held="sidecar-pass-no", body=body)[:-500_000])
        got = await agent.reply()
        assert got.status == 401
        agent.send(body[-500_000:])
        assert await agent.reader.read() == b""
    assert there.requests == []


async def test_a_refused_agent_that_stops_sending_is_let_go(both, monkeypatch):
    monkeypatch.setattr(plain, "LINGER_SECONDS", 0.05)
    _, sidecar = both
    async with client(sidecar) as agent:
        agent.send(request(sidecar, held="sidecar-pass-no", body=b"x" * 1000)[:-1])
        assert (await agent.reply()).status == 401
        assert await agent.reader.read() == b""


async def test_an_idle_connection_is_closed(both, monkeypatch):
    expire_after(monkeypatch, 0.05)
    _, sidecar = both
    async with client(sidecar) as agent:
        for _ in range(2):
            agent.send(request(sidecar))
            assert (await agent.reply()).status == 200
        assert await agent.reader.read() == b""


async def test_an_agent_that_leaves_ends_its_request(both):
    there, sidecar = both
    async with client(sidecar) as agent:
        agent.send(request(sidecar, body=b"x" * 1000)[:-1])
        await read()
    async with client(sidecar) as agent:
        agent.send(request(sidecar))
        assert (await agent.reply()).status == 200
    assert len(there.requests) == 1


@pytest.mark.parametrize(
    "said", [b"", b"POST /v1/mess", b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=["nothing", "a line", "fields"]
)
async def test_a_connection_on_which_no_request_comes_is_closed(both, monkeypatch, said):
    expire_after(monkeypatch, 0.05)
    there, sidecar = both
    async with client(sidecar) as agent:
        agent.send(said)
        async with asyncio.timeout(5):
            assert await agent.reader.read() == b""
    assert there.requests == []


async def test_a_connection_whose_requests_take_long_is_not_taken_for_a_silent_one(tmp_path, monkeypatch):
    expire_after(monkeypatch, 0.05)

    async def slowly(talk):
        while await talk.request():
            await asyncio.sleep(0.15)
            await talk.send(reply())

    chunked = (b"Transfer-Encoding: chunked",)
    async with raw_gateway(slowly) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        for sent in (request(sidecar), request(sidecar, *chunked, body=None) + CHUNKED):
            async with client(sidecar) as agent:
                agent.send(sent)
                assert (await agent.reply()).status == 200


async def test_a_body_that_comes_slowly_is_waited_for_as_long_as_it_comes(both, monkeypatch):
    monkeypatch.setattr(plain, "SIGN_OF_LIFE_SECONDS", 0.02)
    monkeypatch.setattr(upload.pieces, "__defaults__", (0.1,))
    there, sidecar = both
    sent = request(sidecar, body=b'{"a":"0123456789"}')
    async with client(sidecar) as agent:
        agent.send(sent[:-10])
        for at in range(-10, 0):
            await asyncio.sleep(0.04)
            agent.send(sent[at : at + 1 or None])
        assert (await agent.reply()).status == 200
        agent.send(sent[:-10])
        got = await agent.reply()
        assert (got.status, got.value(b"x-sidecar-error")) == (400, b"bad_request")
    assert bodies(there) == [sent[sent.index(b"{") :]]


def test_the_room_for_a_body_follows_what_has_come():
    length, filled = 32 * 1024 * 1024, 10
    body = plain.PlainBody(None, length, b"x" * filled)
    while body.missing:
        room = body.room()
        assert 0 < len(room) <= max(filled, plain.LEAST_ROOM)
        count = len(room) // 2 + 1
        room[:count] = b"y" * count
        del room
        body.add(count)
        filled += count
        assert len(body.received) <= 2 * max(filled, plain.LEAST_ROOM)
    assert body.whole() == b"x" * 10 + b"y" * (length - 10)


WAYS = {
    "a request, and the agent leaves": (request, ["SERVING", "IDLE", "CLOSED"]),
    "two requests": (lambda sidecar: request(sidecar) * 2, ["SERVING", "IDLE", "SERVING", "IDLE", "CLOSED"]),
    "a request that is not plain": (lambda sidecar: request(sidecar, b"Transfer-Encoding: chunked", body=None) + CHUNKED, ["HANDED_OVER"]),
    "a request to an own path": (lambda sidecar: request(sidecar, method=b"GET", target=b"/_sidecar/health", body=None), ["HANDED_OVER"]),
    "no HTTP": (lambda _sidecar: b"good day\r\n\r\n", ["HANDED_OVER"]),
    "a body that is refused before it is whole": (
        lambda sidecar: request(sidecar, held="sidecar-pass-no", body=b"x" * 100)[:-1],
        ["SERVING", "DISCARDING", "CLOSED"],
    ),
}


@pytest.mark.parametrize(("sent", "states"), WAYS.values(), ids=WAYS)
async def test_a_connection_goes_from_state_to_state(both, monkeypatch, sent, states):
    _, sidecar = both
    seen, change = [], plain.PlainConnection._on

    def on(connection, event):
        change(connection, event)
        seen.append(connection.state.name)

    monkeypatch.setattr(plain.PlainConnection, "_on", on)
    async with client(sidecar) as agent:
        agent.send(sent(sidecar))
        for _ in range(max(1, states.count("IDLE"))):
            assert (await agent.reply()).status in {200, 400, 401}
    await until(lambda: len(seen) >= len(states))
    assert seen == states


def test_the_states_of_a_connection_have_an_end_and_a_way_to_each():
    table = plain.TRANSITIONS
    assert set(table) == set(plain.State)
    reached = {plain.State.IDLE, *(after for events in table.values() for after in events.values())}
    assert reached == set(plain.State)
    used = {event for events in table.values() for event in events}
    assert used == set(plain.Event)
    ends = {plain.State.CLOSED, plain.State.HANDED_OVER}
    assert {state for state, events in table.items() if not events} == ends
    assert all(events.get(plain.Event.LOST) is plain.State.CLOSED for state, events in table.items() if state not in ends)


async def test_a_connection_says_what_it_is_doing(both, monkeypatch):
    _, sidecar = both
    made, begin = [], plain.PlainConnection.connection_made
    monkeypatch.setattr(plain.PlainConnection, "connection_made", lambda self, transport: made.append(self) or begin(self, transport))
    async with client(sidecar) as agent:
        agent.send(request(sidecar, body=b"x" * 1000)[:-1])
        await read()
        assert repr(made[0]) == "<PlainConnection SERVING from 127.0.0.1, <PlainBody 999 of 1000 bytes>>"


async def test_an_own_answer_names_no_library(both):
    _, sidecar = both
    async with client(sidecar) as agent:
        agent.send(request(sidecar, method=b"GET", target=b"/_sidecar/health", body=None))
        got = await agent.reply()
    assert (got.status, got.value(b"server"), got.value(b"content-type")) == (200, b"sidecar", b"application/json; charset=utf-8")
