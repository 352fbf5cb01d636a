"""No text from the wire becomes a column of the ledger with a secret in it, too long, or with control characters."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from fakes.raw import raw_gateway, reply
from fakes.running import ask, one_gateway, running

from sidecar.observe.redact import COLUMN_LIMIT, MARK

KEY = "gw/Key+1&mark=\"'<é-free>-0a9B8c7D"[:-1].replace("é", "e")

SPELLINGS = {
    "as it is": KEY,
    "JSON's escapes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "every character as JSON can": "".join(f"\\u{ord(each):04x}" for each in KEY),
    "some characters as Go writes them": KEY.replace("&", "\\u0026").replace("<", "\\u003c"),
    "braces": "".join(f"\\u{{{ord(each):x}}}" for each in KEY),
    "hexadecimal": "".join(f"\\x{ord(each):02x}" for each in KEY),
    "percent": quote(KEY, safe=""),
    "every character percent": "".join(f"%{ord(each):02X}" for each in KEY),
    "percent twice": quote(quote(KEY, safe=""), safe=""),
    "HTML": KEY.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").replace("'", "&#39;"),
    "HTML numbers": "".join(f"&#x{ord(each):X};" for each in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of a pair": base64.b64encode(b"user:" + KEY.encode()).decode(),
    "base64 in a URL": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "base64, percent": quote(base64.b64encode(b"a:" + KEY.encode()).decode(), safe=""),
}


def message(text: str) -> dict[str, object]:
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "service_tier": text,
        "speed": text,
        "inference_geo": text,
        "iterations": [{"type": text, "model": text, text: 1, "input_tokens": 3}],
    }
    return {"type": "message", "id": text, "model": text, "stop_reason": text, "usage": usage}


def as_body(text: str) -> bytes:
    return reply(json.dumps(message(text)).encode(), b"request-id: " + header(text), b"helicone-cache: " + header(text))


def as_stream(text: str) -> bytes:
    """A start, an error event and an end, all of which quote."""
    events = [
        {"type": "message_start", "message": message(text)},
        {"type": "error", "error": {"type": text, "message": text}},
        {"type": "message_delta", "delta": {"stop_reason": text}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return reply("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode(), framing="chunked")


def as_error(text: str) -> bytes:
    return reply(json.dumps({"error": {"type": "", "code": text}}).encode(), b"x-request-id: " + header(text), status=b"401 Unauthorized")


def header(text: str) -> bytes:
    return text.encode("latin-1", "replace")


async def columns(tmp_path, answer: bytes, variables=None, **asked) -> dict[str, object]:
    """The row of one request that is answered so."""

    async def script(talk):
        await talk.request()
        await talk.send(answer)

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url), variables or {"THERE_KEY": KEY}) as sidecar:
        got = await ask(sidecar, **asked)
        assert answer.endswith(got.body) or b"chunked" in answer  # promise 1: the agent gets it as it is
        (row,) = await sidecar.rows()
        return row


def texts_of(row: dict[str, object]) -> dict[str, str]:
    return {name: value for name, value in row.items() if isinstance(value, str)}


@pytest.mark.parametrize("answered", [as_body, as_stream, as_error])
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
async def test_a_key_that_a_gateway_repeats_reaches_no_column(tmp_path, answered, spelling):
    row = await columns(tmp_path, answered(f"key {spelling} is bad"))
    written = texts_of(row)
    assert [name for name, value in written.items() if spelling in value or KEY in value or spelling in str(_loaded(value))] == []
    assert all(value.isprintable() for value in written.values())
    if answered is as_body:
        kept = row["model_served"]
        assert kept == row["request_id"] == row["cache_status"] == row["speed"]
        assert MARK in kept  # a few characters of a base64 text belong to what stands beside the key
        assert kept.startswith("key ")
        assert kept.endswith(" is bad")


def _loaded(text: str) -> object:
    """As a reader of `iterations` and `tags` sees it: without JSON's escapes."""
    try:
        return json.loads(text)
    except ValueError:
        return text


async def test_a_key_that_an_agent_sends_reaches_no_column(tmp_path):
    """It is none of an agent's business, but a person may have pasted it somewhere."""
    body = json.dumps({"model": f"m-{KEY}", "metadata": {"user_id": json.dumps({"session_id": KEY})}}).encode()
    fields = [b"x-sidecar-tags: tag-" + KEY.encode(), b"x-claude-code-agent-id: " + KEY.encode(), b"user-agent: " + KEY.encode()]

    async def script(talk):
        await talk.request()
        await talk.send(reply())

    async with raw_gateway(script) as there, running(tmp_path, one_gateway(there.url), {"THERE_KEY": KEY}) as sidecar:
        await ask(sidecar, *fields, body=body)
        await ask(sidecar, method=b"GET", body=None, target=b"/v1/models/" + quote(KEY, safe="").encode())
        rows = await sidecar.rows(2)
    for row in rows:
        assert [name for name, value in texts_of(row).items() if KEY in str(_loaded(value)) or quote(KEY, safe="") in value] == []
    assert rows[0]["model_requested"] == f"m-{MARK}"
    assert rows[1]["path"] == f"/v1/models/{MARK}"


async def test_a_login_that_goes_along_with_the_key_reaches_no_column(tmp_path):
    login = "the-users-own-login-0123"

    async def script(talk):
        await talk.request()
        await talk.send(as_body(f"{login} {KEY}"))

    async with (
        raw_gateway(script) as there,
        running(tmp_path, one_gateway(there.url, "    auth: {header: x-gateway-key}\n    beside: true\n"), {"THERE_KEY": KEY}) as sidecar,
    ):
        await ask(sidecar, b"x-sidecar-pass: " + sidecar.given.encode(), b"x-api-key: " + login.encode())
        (row,) = await sidecar.rows()
        assert (b"x-api-key", login.encode()) in there.requests[0].fields
    assert row["model_served"] == f"{MARK} {MARK}"


@pytest.mark.parametrize("before", [0, 100, COLUMN_LIMIT - 10, COLUMN_LIMIT])
@pytest.mark.parametrize("length", [20, 300, 2000])
async def test_a_key_that_the_limit_cuts_leaves_no_half(tmp_path, before, length):
    key = "".join(chr(48 + number * 7 % 75) for number in range(length)).replace("\\", "-")
    row = await columns(tmp_path, as_body("." * before + key + "x" * 900), {"THERE_KEY": key})
    assert [name for name, value in texts_of(row).items() if key[:6] in value] == []


async def test_a_text_without_end_is_cut(tmp_path):
    long = "a\x1b[31m\r\nb" + "x" * 50_000
    body = json.dumps({"model": long}).encode()
    row = await columns(tmp_path, as_body(long).replace(header(long), b"long" * 2000), body=body)
    written = texts_of(row)
    assert {name for name, value in written.items() if len(value) > COLUMN_LIMIT - 20} >= {"model_requested", "model_served", "request_id"}
    assert [name for name, value in written.items() if len(value) > COLUMN_LIMIT and name != "iterations"] == []
    assert row["model_served"].startswith("a bx")
    assert all(value.isprintable() for value in written.values())
