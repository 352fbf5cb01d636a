"""Real opencode, which the wrapper knows nothing of, with a pass from `sidecar token`."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.agent


async def test_opencode_talks_through_a_pass(desk, opencode):
    assert (await desk.sidecar("start")).code == 0
    status = json.loads((await desk.sidecar("status", "--json")).out)
    token = await desk.sidecar("token", "-g", "vercel", "-t", "opencode")
    options = {"baseURL": f"http://127.0.0.1:{status['port']}/v1", "apiKey": "{env:SIDECAR_PASS}"}
    config = {"provider": {"anthropic": {"options": options}}, "model": "anthropic/claude-sonnet-4-5"}
    environ = {"SIDECAR_PASS": token.out.strip(), "OPENCODE_CONFIG_CONTENT": json.dumps(config)}
    ended = await desk.do(opencode, "run", "--title", "t", "say hi", **environ)
    assert ended.code == 0, ended
    assert "You said" in ended.out
    [row] = await desk.rows()
    [received] = desk.asked("vercel")
    assert received.values("authorization") == (f"Bearer {desk.keys['vercel']}",)
    assert token.out.strip() not in repr(received)
    assert received.values("x-session-id") == (row["session"],)
    assert (row["client"], row["outcome"], "opencode" in row["tags"]) == ("opencode", "complete", True)
