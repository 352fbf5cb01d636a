"""`scripts/draw`: usage.svg, session.svg and top.svg, in this folder.

A sidecar runs before the demo's stand-in gateway, some made-up work goes through it, and the commands run on a pseudo-terminal.  What
they print, escape sequences and all, is drawn by rich: nothing in a picture is set by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import secrets
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from sidecar.demo.gateway import StandIn
from sidecar.demo.home import Home
from sidecar.launch import client, passkey
from sidecar.launch.passes import Pass, mint

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS, _ROWS = 130, 40
_HERE = Path(__file__).parent
#: Rich's own, but for the fonts that it would fetch from elsewhere: any fixed-width one does.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
_OPUS, _SONNET, _HAIKU = "claude-opus-4-8", "claude-sonnet-4-5", "claude-haiku-4-5"
_SESSION = "4f1c9a52-8d1e-4c55-9a3e-0b6f1d2c7e10"

#: Session, agent, its parent, model, what is said; a few words of the stand-in's make it fail.
_WORK = (
    (_SESSION, None, None, _OPUS, "Why does the invoice round down?"),
    (_SESSION, "a1e5078bd01a75777", None, _HAIKU, "Find every use of round()"),
    (_SESSION, "a1e5078bd01a75777", None, _HAIKU, "Read the three that matter"),
    (_SESSION, "a7c20f4be9d3316a5", None, _SONNET, "Write a failing test"),
    (_SESSION, "a3b9d81c0f5e42e71", "a7c20f4be9d3316a5", _HAIKU, "Look up the test runner"),
    (_SESSION, "a7c20f4be9d3316a5", None, _SONNET, "error-529"),
    (_SESSION, "a7c20f4be9d3316a5", None, _SONNET, "Run it once more"),
    (_SESSION, None, None, _OPUS, "Now mend it"),
    (_SESSION, None, None, _OPUS, "Say what you changed"),
    ("b02d6e1f-35a7-4f0c-8f61-5a0c9d4e2b88", None, None, _SONNET, "Review the migration"),
    ("b02d6e1f-35a7-4f0c-8f61-5a0c9d4e2b88", None, None, _SONNET, "And its rollback"),
    ("c9930b47-7e62-4b1d-9d0a-1f8e2a6c4d35", None, None, "house-small", "Summarise the change log"),
)
#: What still runs when `top` looks.
_RUNNING = (
    (_SESSION, None, None, _OPUS, f"slow-stream {'and go on ' * 40}"),
    (_SESSION, "a1e5078bd01a75777", None, _HAIKU, f"slow-stream {'and go on ' * 30}"),
    ("b02d6e1f-35a7-4f0c-8f61-5a0c9d4e2b88", None, None, _SONNET, "slow-start"),
)


async def main() -> None:
    key = secrets.token_hex(16)
    async with StandIn(keys=frozenset({key}), pace=0.3) as gateway:
        with Home(gateway.url, key) as home:
            await asyncio.to_thread(_run, home)
            state = client.verified(home.places)
            if state is None:
                raise SystemExit("the sidecar has gone")
            pass_ = mint(
                passkey.load(home.places.pass_key), Pass("pictures", int(time.time()) + 600, project="shop", branch="fix/rounding")
            )
            url = client.base_url(state)
            async with aiohttp.ClientSession() as agent:
                for each in _WORK:
                    await _say(agent, url, pass_, *each)
                running = [asyncio.ensure_future(_say(agent, url, pass_, *each)) for each in _RUNNING]
                await asyncio.sleep(3)
                await _draw(home, "top", "top")
                for each in running:
                    each.cancel()
                await asyncio.gather(*running, return_exceptions=True)
            await asyncio.to_thread(home.stop, now=True)
            await _draw(home, "usage", "usage", "--since", "1h")
            await _draw(home, "session", "usage", "--session", _SESSION[:4])


def _run(home: Home) -> None:
    home.start()


async def _say(
    agent: aiohttp.ClientSession, url: str, pass_: str, session: str, name: str | None, parent: str | None, model: str, text: str
) -> None:
    system = [{"type": "text", "text": "You are a careful engineer. " * 400, "cache_control": {"type": "ephemeral"}}]
    # A turn that is not the first: the stand-in then reads its cache.
    said = [{"role": "user", "content": "begin"}, {"role": "assistant", "content": "yes"}, {"role": "user", "content": text}]
    body = {"model": model, "max_tokens": 1000, "stream": True, "system": system, "messages": said}
    headers = {"x-sidecar-pass": pass_, "x-claude-code-session-id": session, "user-agent": "claude-cli/2.1.197 (external, cli)"}
    headers |= {"x-claude-code-agent-id": name} if name else {}
    headers |= {"x-claude-code-parent-agent-id": parent} if parent else {}
    async with agent.post(f"{url}/v1/messages?beta=true", data=json.dumps(body), headers=headers) as reply:
        await reply.read()


async def _draw(home: Home, name: str, *words: str) -> None:
    shown = await asyncio.to_thread(_on_a_terminal, home, words)
    console = Console(record=True, width=_COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, ASYNC230 - ends with us
    console.print(Text.from_ansi(shown), soft_wrap=True)
    svg = console.export_svg(title=f"sidecar {' '.join(words)}", theme=MONOKAI, unique_id=name, code_format=_FORMAT)
    (_HERE / f"{name}.svg").write_text(svg, encoding="utf-8")


def _on_a_terminal(home: Home, words: Sequence[str]) -> str:
    """What the command prints there; of a page that is drawn anew, the first."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (_ROWS, _COLUMNS))
    environ = home.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen([sys.executable, "-m", "sidecar", *words], stdin=slave, stdout=slave, stderr=slave, env=environ)  # noqa: S603
    os.close(slave)
    seen = b""
    try:
        while piece := os.read(master, 65536):
            seen += piece
            if b"q ends" in seen and not process.poll():
                os.write(master, b"q")
    except OSError:  # Linux: the other end has been closed
        pass
    finally:
        process.wait()
        os.close(master)
    page = seen.partition(b"\x1b[H")[2].partition(b"\x1b[?1049l")[0] or seen
    return "\n".join(line.rstrip() for line in page.decode().replace("\r\n", "\n").rstrip().split("\n"))


if __name__ == "__main__":
    asyncio.run(main())
