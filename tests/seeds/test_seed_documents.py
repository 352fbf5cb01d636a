"""The five documents the product was made for, each checked on the wire: a preset, pointed at a gateway of raw bytes.

A test is named after its document.  What a gateway gets is compared whole: request line, every field, the body; so nothing is added
and nothing is lost.
"""

from __future__ import annotations

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import KEY, ask, running

SESSION = "0e1f2a3b-0000-4000-8000-000000000001"
BODY = b'{"model":"claude-sonnet-4-5-20250929","max_tokens":150,"messages":[{"role":"user","content":"hi"}],"stream":true}'
#: What Claude Code sends beside its credential.
AGENT = [
    b"Accept: application/json",
    b"X-Claude-Code-Session-Id: " + SESSION.encode(),
    b"anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14",
    b"anthropic-version: 2023-06-01",
    b"x-app: cli",
    b"User-Agent: claude-cli/2.1.197 (external, cli)",
    b"Accept-Encoding: gzip, deflate, br, zstd",
    b"Content-Type: application/json",
]
ANSWER = reply(
    b'{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":"end_turn","usage":{"input_tokens":15,"output_tokens":28}}'
)


def configuration(preset: str, url: str, more: str = "") -> str:
    return f"gateway: {preset}\ntags: [laptop]\ngateways:\n  {preset}:\n    base_url: {url}\n    credential: {{env: THERE_KEY}}\n{more}"


async def on_the_wire(tmp_path, preset, *fields, more="", target=b"/v1/messages?beta=true", body=BODY):
    """The request as the gateway got it, and its row."""
    async with raw_gateway(says(ANSWER)) as there, running(tmp_path, configuration(preset, there.url, more)) as sidecar:
        assert (await ask(sidecar, *AGENT, *fields, target=target, body=body)).status == 200
        row = (await sidecar.rows())[0]
        assert (row["session"], row["gateway"]) == (SESSION, preset)
        request = there.requests[0]
        assert request.fields[0] == (b"Host", b"127.0.0.1:%d" % there.port)
        return request, row


def expected_fields(*injected: tuple[bytes, bytes], kept: tuple[bytes, ...] = (), body: bytes = BODY) -> list[tuple[bytes, bytes]]:
    return [*(tuple(each.split(b": ", 1)) for each in (*AGENT, *kept)), (b"Content-Length", b"%d" % len(body)), *injected]


def with_model(model: bytes) -> bytes:
    return BODY.replace(b"claude-sonnet-4-5-20250929", model)


async def test_000_vercel_messages(tmp_path):
    request, row = await on_the_wire(tmp_path, "vercel", b"x-sidecar-tags: t")
    body = with_model(b"anthropic/claude-sonnet-4.5")
    assert request.line == b"POST /v1/messages?beta=true HTTP/1.1"
    assert request.fields[1:] == expected_fields((b"authorization", b"Bearer " + KEY.encode()), body=body)
    assert request.body == body
    assert (row["model_requested"], row["model_sent"]) == ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5")
    assert (row["input_tokens"], row["output_tokens"]) == (15, 28)


async def test_001_vercel_anthropic_messages_api(tmp_path):
    request, row = await on_the_wire(tmp_path, "vercel", target=b"/v1/messages/count_tokens?beta=true", body=with_model(b"claude-opus-4-6"))
    body = with_model(b"anthropic/claude-opus-4.6")
    assert request.line == b"POST /v1/messages/count_tokens?beta=true HTTP/1.1"
    assert request.fields[1:] == expected_fields((b"authorization", b"Bearer " + KEY.encode()), body=body)
    assert request.body == body
    assert (row["kind"], row["input_tokens"]) == ("count", None)


async def test_001_vercel_beside_a_claude_subscription(tmp_path):
    async with raw_gateway(says(ANSWER)) as there, running(tmp_path, configuration("vercel", there.url, "    beside: true\n")) as sidecar:
        login = b"authorization: Bearer sk-ant-oat01-theirs"
        got = await ask(sidecar, b"x-sidecar-pass: " + sidecar.given.encode(), *AGENT, login, body=BODY, held="not-a-pass")
        assert got.status == 200
        request = there.requests[0]
        assert (b"authorization", b"Bearer sk-ant-oat01-theirs") in request.fields
        assert request.fields[-1] == (b"x-ai-gateway-api-key", b"Bearer " + KEY.encode())
        assert request.values(b"x-sidecar-pass") == []
        assert (await sidecar.rows())[0]["billing"] == "subscription"


async def test_002_onerouter_messages(tmp_path):
    request, row = await on_the_wire(tmp_path, "onerouter", b"x-sidecar-tags: t")
    body = with_model(b"claude-sonnet-4-5@20250929")
    assert request.line == b"POST /v1/messages?beta=true HTTP/1.1"
    assert request.fields[1:] == expected_fields((b"x-api-key", KEY.encode()), body=body)
    assert request.body == body
    assert row["model_sent"] == "claude-sonnet-4-5@20250929"


@pytest.mark.parametrize("query", [b"", b"?beta=true"])
async def test_003_therouter_create_anthropic_messages(tmp_path, query):
    request, row = await on_the_wire(tmp_path, "therouter", b"x-sidecar-tags: t", target=b"/v1/messages" + query)
    body = with_model(b"anthropic/claude-sonnet-4.5")
    assert request.line == b"POST /v1/anthropic/messages" + query + b" HTTP/1.1"
    assert request.fields[1:] == expected_fields((b"x-api-key", KEY.encode()), body=body)
    assert request.body == body
    assert (row["path"], row["kind"]) == ("/v1/messages", "inference")


async def test_004_edgee_anthropic_messages(tmp_path):
    request, row = await on_the_wire(
        tmp_path, "edgee", b"x-sidecar-tags: agent", more='    tags: [production]\n    headers: {x-edgee-debug: "true"}\n'
    )
    assert request.line == b"POST /v1/messages?beta=true HTTP/1.1"
    assert request.fields[1:] == expected_fields(
        (b"authorization", b"Bearer " + KEY.encode()),
        (b"x-edgee-session-id", SESSION.encode()),
        (b"x-edgee-tags", b"laptop,production,agent"),
        (b"x-edgee-debug", b"true"),
    )
    assert request.body == BODY
    assert row["model_sent"] == "claude-sonnet-4-5-20250929"


async def test_004_edgee_beside_the_clients_own_login(tmp_path):
    request, _ = await on_the_wire(tmp_path, "edgee", b"X-Api-Key: theirs", more="    beside: true\n")
    assert request.fields[1:] == expected_fields(
        (b"x-edgee-api-key", KEY.encode()),
        (b"x-edgee-session-id", SESSION.encode()),
        (b"x-edgee-tags", b"laptop"),
        kept=(b"X-Api-Key: theirs",),
    )
