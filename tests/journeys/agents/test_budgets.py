"""A spent budget in front of real Claude Code: one request, one message, at once."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.agent

#: Three minutes is what its ten retries of an ordinary 429 take.
AT_ONCE_SECONDS = 10


async def test_claude_code_shows_at_once_which_budget_is_spent(desk, claude):
    config = desk.home / "sidecar/config.yaml"
    config.write_text(config.read_text() + "budgets:\n  - {per: day, limit: 100 tokens}\n")
    first = await desk.sidecar("run", "--", claude, "-p", "say hi")
    assert first.code == 0
    assert len(await desk.rows()) == 1

    begun = time.monotonic()
    second = await desk.sidecar("run", "--", claude, "-p", "say hi again")
    assert time.monotonic() - begun < AT_ONCE_SECONDS
    assert second.code == 1
    assert second.out.startswith("API Error: Request rejected (429) · sidecar: the budget of 100 tokens per day is spent: ")
    assert f"raise it under `budgets:` in {config}" in second.out
    assert len(desk.asked("vercel")) == 1
    assert len(await desk.rows()) == 1

    config.write_text(config.read_text().replace("100 tokens", "10M tokens"))
    third = await desk.sidecar("run", "--", claude, "-p", "say hi once more")
    assert "You said: “say hi once more”." in third.out
