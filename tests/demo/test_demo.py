from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

DEMO = (sys.executable, "-m", "sidecar", "demo")


@pytest.fixture
def environ(tmp_path):
    """A user with a home, a temporary folder, and things of their own that the demo must leave alone."""
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    own = {"SIDECAR_HOME": str(tmp_path / "home/own"), "ANTHROPIC_API_KEY": "a-key-of-the-users"}
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "LANG": "C.UTF-8", **own}


async def begin(environ, *arguments):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*DEMO, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environ)


def left(environ) -> list[Path]:
    return [*Path(environ["HOME"]).iterdir(), *Path(environ["TMPDIR"]).iterdir()]


async def test_the_demo_tells_the_whole_story_and_leaves_nothing_behind(environ):
    process = await begin(environ)
    out, err = await process.communicate()
    text = out.decode()
    assert (process.returncode, err) == (0, b"")
    assert "You said: “What becomes of my words" in text
    assert len(set(re.findall(r"\b[0-9a-f]{64}\b", text))) == 1
    assert text.count("✓") == 7
    assert "✗" not in text
    assert re.search(r"x-demo-session: ([0-9a-f-]{36})[^$]*\1 +\d\d-\d\d ", text), (
        "the session of the request is the session of the usage table"
    )
    assert not re.search(r"sidecar-pass-|demo-gateway-key-|a-key-of-the-users", text)
    assert left(environ) == []


async def test_an_agent_of_ones_own_goes_through_it(environ, tmp_path):
    agent = tmp_path / "agent.py"
    agent.write_text(
        """
import json, os, sys, urllib.request
assert sys.argv[1:] == ["-p", "say hi"] and "ANTHROPIC_API_KEY" in os.environ and not os.environ["ANTHROPIC_API_KEY"]
asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": sys.argv[2]}]}
headers = {"authorization": "Bearer " + os.environ["ANTHROPIC_AUTH_TOKEN"]}
request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(asked).encode(), headers)
print(json.load(urllib.request.urlopen(request))["content"][0]["text"], os.environ["HOME"])
"""
    )
    process = await begin(environ, "--agent", sys.executable, "--", str(agent), "-p", "say hi")
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b""), out
    assert re.search(r"You said: “say hi”.* /\S+/sidecar-demo-\w+/agent\n", out.decode())
    assert "1 arrived" in out.decode()
    assert left(environ) == []


async def test_an_agent_that_fails_fails_the_demo(environ):
    process = await begin(environ, "--agent", "false")
    out, _ = await process.communicate()
    assert process.returncode == 1
    assert "exit code 1" in out.decode()
    assert left(environ) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_demo_ends_its_daemon_and_cleans_up(environ, number, code):
    process = await begin(environ)
    await process.stdout.readuntil(b"You said")
    process.send_signal(number)
    _, err = await process.communicate()
    assert (process.returncode, err) == (code, b"")
    assert left(environ) == []
