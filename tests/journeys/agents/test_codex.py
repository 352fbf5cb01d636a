"""Real Codex CLI, headless, with a pass from `sidecar token`: OpenAI's Responses from the agent's terminal to the row in the ledger."""

from __future__ import annotations

import json

import pytest

from sidecar.demo import responses

pytestmark = pytest.mark.agent


@pytest.fixture
async def prompt(desk, codex):
    """Asks Codex, which holds a pass and nothing that opens a gateway."""
    assert (await desk.sidecar("start")).code == 0
    status = json.loads((await desk.sidecar("status", "--json")).out)
    provider = f'{{name="sidecar",base_url="http://127.0.0.1:{status["port"]}/v1",env_key="SIDECAR_PASS",wire_api="responses"}}'
    given = (await desk.sidecar("token", "-t", "codex", "--ttl", "1h")).out.strip()
    settings = ("-c", 'model_provider="sidecar"', "-c", f"model_providers.sidecar={provider}", "-c", 'model="gpt-5.4"')
    return lambda text: desk.do(codex, "exec", "--skip-git-repo-check", *settings, text, SIDECAR_PASS=given)


def reported(received) -> tuple[int, ...]:
    """The tokens the stand-in reported for this request, as the ledger should have them: fresh, read, out, of these reasoning."""
    usage = responses.usage(responses.read(received.body))
    read = usage["input_tokens_details"]["cached_tokens"]
    reasoning = usage["output_tokens_details"]["reasoning_tokens"]
    return usage["input_tokens"] - read, read, usage["output_tokens"], reasoning


async def assert_whole(desk, requests: int) -> list[dict[str, object]]:
    arrived, rows = desk.asked("vercel"), await desk.rows()
    assert len(arrived) == len(rows) == requests
    for received, row in zip(arrived, rows, strict=True):
        assert received.values("authorization") == (f"Bearer {desk.keys['vercel']}",)
        assert "sidecar-pass-" not in repr(received)
        assert (row["path"], row["kind"], row["outcome"], row["usage_source"]) == ("/v1/responses", "inference", "complete", "final")
        assert (row["model_requested"], row["model_served"], row["stop_reason"]) == ("gpt-5.4", "gpt-5.4", "completed")
        assert tuple(row[f"{part}_tokens"] for part in ("input", "cache_read", "output", "thinking")) == reported(received)
        assert (row["session"],) == received.values("session-id")
        assert (row["client"], row["tags"]) == ("codex_exec", ["codex"])
        assert row["price_source"].endswith("openai/gpt-5.4")
        assert row["cost_nanousd"] > 0
    return rows


async def test_an_answer_through_the_sidecar(desk, prompt):
    ended = await prompt("say hi")
    assert ended.code == 0
    assert "You said: “say hi”." in ended.out
    await assert_whole(desk, 1)


async def test_a_tool_loop(desk, prompt):
    ended = await prompt(f"use tool exec_command {json.dumps({'cmd': 'echo $((6 * 7))'})}")
    assert ended.code == 0
    assert "The tool said: “" in ended.out
    assert "42" in ended.out
    first, second = await assert_whole(desk, 2)
    assert first["session"] == second["session"]
    assert second["cache_read_tokens"] > first["cache_read_tokens"]


async def test_an_error_is_shown_and_recorded(desk, prompt):
    ended = await prompt("error-400")
    assert ended.code == 1
    assert "the stand-in was asked for error 400" in ended.out + ended.err
    [row] = await desk.rows()
    assert (row["status"], row["outcome"], row["error_type"]) == (400, "upstream_error", "invalid_request_error")
