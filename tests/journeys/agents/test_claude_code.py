"""Real Claude Code, headless, from the command a developer types to the row in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.demo import answer, ask
from sidecar.demo.gateway import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDECAR = (sys.executable, "-m", "sidecar")

pytestmark = pytest.mark.agent


def use_tool(name: str, **arguments: str) -> str:
    return f"use tool {name} {json.dumps(arguments)}"


def reported(received) -> tuple[int, ...]:
    """The tokens the stand-in reported for this request, as the ledger should have them."""
    usage = answer.usage(ask.read(received.body))
    split = usage["cache_creation"]
    return (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["cache_read_input_tokens"],
        split["ephemeral_5m_input_tokens"],
        split["ephemeral_1h_input_tokens"],
    )


def written(row) -> tuple[int, ...]:
    return tuple(row[f"{part}_tokens"] for part in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"))


async def assert_whole(desk, requests: int) -> list[dict[str, object]]:
    """Every request that arrived has its row: session, tokens, ending; with the gateway's key and no pass.  Returns the rows."""
    arrived = desk.asked("vercel")
    rows = await desk.rows()
    assert len(arrived) == len(rows) == requests
    for received, row in zip(arrived, rows, strict=True):
        assert received.values("authorization") == (f"Bearer {desk.keys['vercel']}",)
        assert received.values("x-api-key") == ()
        assert "sidecar-pass-" not in repr(received)
        assert not any(name.lower().startswith("x-sidecar") for name, _ in received.fields)
        [session] = received.values("x-claude-code-session-id")
        assert row["session"] == session == json.loads(json.loads(received.body)["metadata"]["user_id"])["session_id"]
        assert (row["gateway"], row["kind"], row["outcome"], row["usage_source"]) == ("vercel", "inference", "complete", "final")
        assert written(row) == reported(received)
        assert row["client"] == "claude-cli"
    return rows


async def test_an_answer_through_run(desk, claude):
    ended = await desk.sidecar("run", "-t", "review,night", "--", claude, "-p", "say hi")
    assert (ended.code, ended.err) == (0, "")
    assert "You said: “say hi”." in ended.out
    [row] = await assert_whole(desk, 1)
    assert {"review", "night"} <= set(row["tags"])
    assert (row["project"], row["agent"], row["status"], row["stream"]) == ("project", None, 200, 1)
    assert (row["model_requested"], row["model_sent"]) == ("claude-opus-4-8", "anthropic/claude-opus-4.8")


async def test_an_answer_through_a_generated_command(desk, claude):
    made = await desk.sidecar("wrapper", "vercel", "--dir", str(desk.home / "bin"), "--agent", claude)
    command = desk.home / "bin/claude-vercel"
    assert made.code == 0
    assert stat.S_IMODE(command.stat().st_mode) == 0o755
    ended = await desk.do(str(command), "-p", "say hi")
    assert (ended.code, ended.err) == (0, "")
    assert "You said: “say hi”." in ended.out
    await assert_whole(desk, 1)


async def test_a_tool_loop(desk, claude):
    prompt = use_tool("Bash", command="echo $((6 * 7))", description="Multiply")
    ended = await desk.sidecar("run", "--", claude, "-p", prompt, "--allowedTools", "Bash(*)")
    assert ended.out.strip() == "The tool said: “42”."
    first, second = await assert_whole(desk, 2)
    assert (first["stop_reason"], second["stop_reason"]) == ("tool_use", "end_turn")
    assert second["cache_read_tokens"] > 1000
    assert first["session"] == second["session"]


async def test_a_subagent_is_told_apart(desk, claude):
    inner = use_tool("Bash", command="echo from below", description="Echo")
    prompt = use_tool("Agent", description="Delegate", prompt=inner, subagent_type="general-purpose")
    ended = await desk.sidecar("run", "--", claude, "-p", prompt, "--allowedTools", "Bash(*)")
    assert "from below" in ended.out
    rows = await assert_whole(desk, 4)
    agents = [row["agent"] for row in rows]
    assert agents[0] is agents[3] is None
    assert agents[1] == agents[2] == desk.asked("vercel")[1].values("x-claude-code-agent-id")[0]
    assert {row["parent_agent"] for row in rows} == {None}
    assert len({row["session"] for row in rows}) == 1


async def test_a_settings_file_that_points_elsewhere_is_overruled(desk, claude):
    async with StandIn(pace=0) as elsewhere:
        settings = {"env": {"ANTHROPIC_BASE_URL": elsewhere.url, "ANTHROPIC_AUTH_TOKEN": "other", "CLAUDE_CODE_USE_BEDROCK": "1"}}
        (desk.home / ".claude").mkdir()
        (desk.home / ".claude/settings.json").write_text(json.dumps(settings))
        ended = await desk.sidecar("run", "--", claude, "-p", "say hi", CLAUDE_CODE_USE_VERTEX="1")
        assert ended.code == 0
        assert elsewhere.received == []
    await assert_whole(desk, 1)


async def test_the_prompt_may_come_from_stdin(desk, claude):
    ended = await desk.sidecar("run", "--", claude, "-p", stdin="say it from stdin")
    assert "“say it from stdin”" in ended.out


async def test_an_error_is_shown_word_by_word_and_the_exit_code_is_the_agents(desk, claude):
    ended = await desk.sidecar("run", "--", claude, "-p", "error-400")
    assert ended.code == 1
    assert ended.out.strip() == "API Error: 400 the stand-in was asked for error 400"
    [row] = await desk.rows()
    assert (row["status"], row["outcome"], row["error_type"]) == (400, "upstream_error", "invalid_request_error")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_does_to_the_agent_what_it_does_without_the_sidecar(desk, claude, number):
    wrapped = await desk.start(*SIDECAR, "run", "--", claude, "-p", "slow-stream")
    await desk.arrival("vercel", 1)
    # With the other gateway's key, so that nobody who looks for this one's in all processes finds it here.
    gateway = desk.gateways["edgee"]
    bare = await desk.start(claude, "-p", "slow-stream", ANTHROPIC_BASE_URL=gateway.url, ANTHROPIC_AUTH_TOKEN=desk.keys["edgee"])
    await desk.arrival("edgee", 1)
    for process in (wrapped, bare):
        process.send_signal(number)
    async with asyncio.timeout(10):
        await asyncio.gather(wrapped.communicate(), bare.communicate())
    assert wrapped.returncode == bare.returncode
    [row] = await desk.rows()
    assert row["outcome"] == "client_cancelled"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes show their environment in /proc on Linux only")
async def test_the_key_is_in_no_process_while_an_agent_works(desk, claude):
    """The agent, the shell and the `sleep` it starts, the daemon, and whatever else this user runs."""
    prompt = f"slow-stream {use_tool('Bash', command='sleep 1.618', description='Wait')}"
    agent = await desk.start(*SIDECAR, "run", "--", claude, "-p", prompt, "--allowedTools", "Bash(*)")
    seen: set[str] = set()
    answer = asyncio.ensure_future(agent.communicate())
    while not answer.done():
        for argv, environ in processes():
            assert desk.keys["vercel"].encode() not in argv + environ
            seen |= {
                name
                for name in ("sleep 1.618", "sidecar.server", "slow-stream")
                if name in argv.replace(b"\0", b" ").decode(errors="replace")
            }
        await asyncio.sleep(0.1)
    assert b"The tool said" in (await answer)[0]
    assert seen == {"sleep 1.618", "sidecar.server", "slow-stream"}
    await assert_whole(desk, 2)


def processes() -> Iterator[tuple[bytes, bytes]]:
    """Arguments and environment of every process that this user may look into."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes()
            try:
                yield argv, (process / "environ").read_bytes()
            except PermissionError:  # not even its owner may look: the daemon
                yield argv, b""


async def test_use_moves_the_next_request_of_a_running_agent_and_leaves_a_pinned_one(desk, claude):
    talk = (claude, "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
    free = await desk.start(*SIDECAR, "run", "--", *talk)
    pinned = await desk.start(*SIDECAR, "run", "-g", "vercel", "--", *talk)
    for process in (free, pinned):
        await say(process, "one")
    used = await desk.sidecar("use", "edgee")
    assert used.code == 0
    for process in (free, pinned):
        await say(process, "two")
        process.stdin.close()
        await process.communicate()
        assert process.returncode == 0
    assert sorted((row["gateway"], row["session"]) for row in await desk.rows()) == sorted(
        (gateway, request.values("x-claude-code-session-id")[0]) for gateway in desk.gateways for request in desk.asked(gateway)
    )
    assert {name: len(desk.asked(name)) for name in desk.gateways} == {"vercel": 3, "edgee": 1}
    [moved] = desk.asked("edgee")
    assert moved.values("authorization") == (f"Bearer {desk.keys['edgee']}",)
    assert moved.values("x-edgee-session-id") == moved.values("x-claude-code-session-id")


async def say(process: asyncio.subprocess.Process, text: str) -> None:
    """One turn: returns when the agent has its answer."""
    message = {"type": "user", "message": {"role": "user", "content": text}}
    process.stdin.write(json.dumps(message).encode() + b"\n")
    while json.loads(line := await process.stdout.readline())["type"] != "result":
        assert line
