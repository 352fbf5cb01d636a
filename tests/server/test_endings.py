"""How an exchange ends, seen from the agent and from the ledger."""

from __future__ import annotations

import asyncio
import json

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, client, one_gateway, request, running, until

from sidecar.proxy.pool import Pool

START = b'event: message_start\ndata: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
END = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
HEADS = {
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n",
}


def framed(framing, data):
    return b"%x\r\n%b\r\n" % (len(data), data) if framing == "chunked" else data


@pytest.mark.parametrize("then", ["fin", "rst"])
@pytest.mark.parametrize("framing", HEADS)
async def test_a_cut_looks_like_a_cut_with_every_byte_delivered(tmp_path, framing, then):
    delivered = asyncio.Event()

    async def script(talk):
        await talk.request()
        await talk.send(HEADS[framing], framed(framing, START))
        await delivered.wait()  # a reset drops what the other side has not read yet: that is the network's doing, not ours
        getattr(talk, then)()

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        agent.send(request(sidecar))
        await agent.reader.readuntil(b"\r\n\r\n")
        expected = framed(framing, START)
        assert await agent.reader.readexactly(len(expected)) == expected
        delivered.set()
        assert await agent.reader.read() == b""
        row = (await sidecar.rows())[0]
        assert (row["outcome"], row["status"], row["input_tokens"], row["usage_source"]) == ("upstream_truncated", 200, 3, "partial")


async def test_a_cut_behind_the_last_event_is_still_a_complete_message(tmp_path):
    async with (
        raw_gateway(says(HEADS["chunked"], framed("chunked", START + END), then="fin")) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
    ):
        got = await ask(sidecar)
        assert got.body == START + END
        assert not got.is_whole
        row = (await sidecar.rows())[0]
        assert (row["outcome"], row["output_tokens"]) == ("complete", 7)


async def test_a_polite_early_end_is_relayed_as_it_came_and_told_in_the_ledger(tmp_path):
    async with (
        raw_gateway(says(reply(START, b"Content-Type: text/event-stream", framing="chunked"))) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
    ):
        assert (await ask(sidecar)).is_whole
        assert (await sidecar.rows())[0]["outcome"] == "upstream_truncated"


async def test_a_slow_agent_gets_every_byte_of_a_broken_stream(tmp_path):
    total = 3_000_000

    async def script(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % (total * 2), b"x" * total)
        talk.fin()

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        agent.send(request(sidecar))
        await agent.reader.readuntil(b"\r\n\r\n")
        await there.lost.wait()
        got = await agent.reader.read()
        assert got.count(b"x") == total


async def test_an_agent_that_leaves_takes_the_gateways_work_with_it(tmp_path):
    async def script(talk):
        await talk.request()
        await talk.send(HEADS["chunked"], framed("chunked", START))
        await talk.reader.read()

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        async with client(sidecar) as agent:
            agent.send(request(sidecar))
            await agent.reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(1):
            await there.lost.wait()
        row = (await sidecar.rows())[0]
        assert (row["outcome"], row["input_tokens"]) == ("client_cancelled", 3)


async def test_an_agent_that_leaves_before_the_answer_cancels_too(tmp_path):
    asked = asyncio.Event()

    async def script(talk):
        await talk.request()
        asked.set()
        await talk.reader.read()

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        async with client(sidecar) as agent:
            agent.send(request(sidecar))
            await asked.wait()
        async with asyncio.timeout(1):
            await there.lost.wait()
        assert (await sidecar.rows())[0]["outcome"] == "client_cancelled"


@pytest.mark.parametrize(
    ("script", "code", "status", "outcome", "settings"),
    [
        (says(then="fin"), "upstream_closed", 502, "upstream_truncated", ""),
        (says(b"SSH-2.0\r\n"), "bad_reply", 502, "upstream_truncated", ""),
        (says(b"HTTP/1.1 101 X\r\n\r\n"), "bad_reply", 502, "upstream_truncated", ""),
        (says(), "timeout_first_byte", 504, "timeout", "timeouts: {first_byte: 50ms}\n"),
        (None, "unreachable", 502, "unreachable", ""),
    ],
    ids=["hangs up", "not HTTP", "101", "silent", "not there"],
)
async def test_own_answers_say_what_happened(tmp_path, unused_tcp_port, script, code, status, outcome, settings):
    async with raw_gateway(script or says()) as there:
        url = there.url if script else f"http://127.0.0.1:{unused_tcp_port}"
        async with running(tmp_path, one_gateway(url) + settings) as sidecar:
            got = await ask(sidecar)
            assert (got.status, got.value(b"x-sidecar-error")) == (status, code.encode())
            error = json.loads(got.body)
            assert error["type"] == "error"
            assert error["error"]["message"].startswith("sidecar: ")
            row = (await sidecar.rows())[0]
            assert (row["outcome"], row["error_type"], row["status"]) == (outcome, code, None)


async def test_an_idle_limit_cuts_and_says_timeout(tmp_path):
    async def script(talk):
        await talk.request()
        await talk.send(HEADS["chunked"], framed("chunked", START))
        await talk.reader.read()

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url) + "timeouts: {idle: 50ms}\n") as sidecar:
        got = await ask(sidecar)
        assert (got.body, got.is_whole) == (START, False)
        assert (await sidecar.rows())[0]["outcome"] == "timeout"


async def test_a_gateways_error_passes_as_it_is(tmp_path):
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"later"},"request_id":"req_1"}'
    async with (
        raw_gateway(says(reply(body, b"x-should-retry: true", b"request-id: req_1", status=b"529 "))) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
    ):
        got = await ask(sidecar)
        assert (got.status, got.body, got.value(b"x-should-retry"), got.value(b"x-sidecar-error")) == (529, body, b"true", None)
        row = (await sidecar.rows())[0]
        assert (row["outcome"], row["error_type"], row["request_id"]) == ("upstream_error", "overloaded_error", "req_1")


async def test_a_body_over_the_limit_is_refused_and_nothing_is_sent(tmp_path):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url) + "limits: {body: 1KiB}\n") as sidecar:
        for sent in (
            request(sidecar, body=b"x" * 2000),
            request(sidecar, b"Transfer-Encoding: chunked", body=None) + b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n",
        ):
            async with client(sidecar) as agent:
                agent.send(sent)
                got = await agent.reply()
                assert (got.status, got.value(b"x-sidecar-error")) == (413, b"request_too_large")
                agent.send(request(sidecar))
                assert (await agent.reply()).status == 200
        assert {each.body for each in there.requests} == {b"{}"}


async def test_other_paths_stream_bodies_of_any_size(tmp_path):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url) + "limits: {body: 1KiB}\n") as sidecar:
        assert (await ask(sidecar, target=b"/v1/files", body=b"x" * 1_000_000)).status == 200
        assert len(there.requests[0].body) == 1_000_000
        row = (await sidecar.rows())[0]
        assert (row["kind"], row["bytes_in"], row["bytes_out"], row["outcome"]) == ("other", 1_000_000, 2, "complete")


async def test_a_request_whose_gateway_is_still_being_connected_to_has_its_row(tmp_path, monkeypatch):
    async def never(_pool, _seconds):
        await asyncio.Event().wait()

    monkeypatch.setattr(Pool, "open", never)
    async with running(tmp_path, one_gateway("http://127.0.0.1:9")) as sidecar:
        async with client(sidecar) as agent:
            agent.send(request(sidecar))
            await until(sidecar.rows_now)
            assert sidecar.rows_now()[0]["finished_at"] is None
        assert (await sidecar.rows())[0]["outcome"] == "client_cancelled"
