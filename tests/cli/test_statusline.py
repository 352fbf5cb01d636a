"""`sidecar statusline` as Claude Code runs it: JSON on stdin, the agent's environment, a line or nothing."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, one_gateway, running, until

from sidecar.launch import daemon_state
from sidecar.launch.statusline import _TOKENS, _parts

BODY = json.dumps(
    {
        "type": "message",
        "id": "msg_1",
        "model": "claude-opus-4-8",
        "content": [],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1000, "output_tokens": 500, "cache_read_input_tokens": 9000},
    }
).encode()
SESSION = "4f1c9a52-0000-4000-8000-000000000001"


@pytest.fixture
async def sidecar(tmp_path):
    budgets = "budgets:\n  - {per: day, limit: 20k tokens}\n  - {per: day, limit: 1k tokens, gateway: anthropic}\n"
    async with (
        raw_gateway(says(reply(BODY, b"content-type: application/json"))) as there,
        running(tmp_path / "home", one_gateway(there.url) + budgets) as sidecar,
    ):
        yield sidecar


async def line(*words: str, session: object = SESSION, given: bytes | None = None, **environ: str) -> tuple[str, str, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", "statusline", *words,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"], **environ},
    )  # fmt: skip
    out, err = await process.communicate(json.dumps({"session_id": session, "cwd": "/"}).encode() if given is None else given)
    return out.decode(), err.decode(), process.returncode


def agents(sidecar, held=None) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{sidecar.port}", "ANTHROPIC_AUTH_TOKEN": held or sidecar.given}


async def used(sidecar, session=SESSION, **more) -> None:
    before = len(sidecar.rows_now())
    await ask(sidecar, b"x-claude-code-session-id: " + session.encode(), body=b'{"model":"claude-opus-4-8"}', **more)
    await sidecar.rows(before + 1)


async def test_the_line_says_where_how_much_and_what_is_left(sidecar):
    await used(sidecar)
    out, err, code = await line(**agents(sidecar))
    assert (err, code) == ("", 0)
    gateway, tokens, cached, *cost, left = out.removesuffix("\n").split(" · ")
    assert (gateway, tokens, cached) == ("there", "10,500 tokens", "90% cached")
    assert left == "9.5k of 20k tokens left today"
    assert not cost or cost[0].startswith("$")


async def test_a_budget_that_is_nearly_spent_is_called_so(sidecar):
    for _ in range(2):
        await used(sidecar)
    assert (await line(**agents(sidecar)))[0].endswith("spent: 0 of 20k tokens left today\n")


async def test_a_session_that_the_pass_pins_is_found_under_its_own_name(sidecar):
    pinned = sidecar.minted(session="mine")
    await used(sidecar, held=pinned)
    assert (await line(**agents(sidecar, pinned)))[0].startswith("there · 10,500 tokens")


async def test_a_pass_beside_the_clients_own_login_is_found_in_the_headers(sidecar):
    await used(sidecar)
    headers = f"x-other: 1\nx-sidecar-pass: {sidecar.given}"
    environ = {**agents(sidecar, "sk-ant-oat01-own"), "ANTHROPIC_CUSTOM_HEADERS": headers}
    assert (await line(**environ))[0].startswith("there · ")


async def test_a_session_of_another_run_stays_its_own(sidecar):
    await used(sidecar)
    assert await line(**agents(sidecar, sidecar.minted(run="run-2"))) == ("", "", 0)


async def test_whatever_is_not_ours_or_goes_wrong_prints_nothing(sidecar, unused_tcp_port):
    await used(sidecar)
    nobody = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{unused_tcp_port}", "ANTHROPIC_AUTH_TOKEN": sidecar.given}
    silent = [
        line(),
        line(**agents(sidecar, "sk-ant-api03-own")),
        line(**agents(sidecar, sidecar.given + "x")),
        line(**nobody),
        line(session="4f1c-never-seen", **agents(sidecar)),
        line(session=None, **agents(sidecar)),
        line(given=b"", **agents(sidecar)),
        line(given=b"[]", **agents(sidecar)),
        line(**{**agents(sidecar), "ANTHROPIC_BASE_URL": "https://api.anthropic.com"}),
        line(SIDECAR_HOME="/dev/null/none", **nobody),
    ]
    for each in silent:
        assert await each == ("", "", 0)


async def test_a_line_that_was_there_before_is_told_and_gets_the_same_words(sidecar):
    await used(sidecar)
    out, _, code = await line("--beside", "cat; printf ' | mine'", **agents(sidecar))
    theirs, ours = out.splitlines()
    assert theirs == json.dumps({"session_id": SESSION, "cwd": "/"}) + " | mine"
    assert ours.startswith("there · ")
    assert code == 0
    assert (await line("--beside", "echo mine; exit 3"))[::2] == ("mine\n", 0)


def test_it_loads_next_to_nothing():
    """Run after every turn: its time is its imports."""
    script = "import sys\nfrom sidecar.launch.main import main\nmain(['statusline'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    heavy = {
        "rich",
        "pydantic",
        "aiohttp",
        "asyncio",
        "sqlite3",
        "subprocess",
        "typing",
        "socket",
        "dataclasses",
        "urllib.parse",
        "datetime",
    }
    assert heavy & set(done.stdout.split()) == set()


@pytest.fixture
def claude(home):
    folder = home.user / "claude"
    folder.mkdir()
    home.environ["CLAUDE_CONFIG_DIR"] = str(folder)
    return folder


BEFORE = b'{\n    "model": "opus",\n    "statusLine": {\n        "type": "command",\n        "command": "echo \\"hi\\"",\n        "padding": 0\n    }\n}'


def test_it_installs_beside_what_is_there_once_and_goes_without_a_trace(home, claude):
    settings = claude / "settings.json"
    settings.write_bytes(BEFORE)
    settings.chmod(0o640)
    done = home.run("statusline", "--install")
    assert (done.returncode, done.stderr) == (0, "")
    assert (claude / "settings.json.before-sidecar").read_bytes() == BEFORE
    after = settings.read_bytes()
    assert stat.S_IMODE(settings.stat().st_mode) == 0o640
    command = json.loads(after)["statusLine"]["command"]
    shown = subprocess.run(["sh", "-c", command], input=b"{}", capture_output=True, env=home.environ, check=True)
    assert (shown.stdout, shown.stderr) == (b"hi\n", b"")
    assert "already." in home.run("statusline", "--install").stdout
    assert settings.read_bytes() == after
    assert home.run("statusline", "--remove").returncode == 0
    assert settings.read_bytes() == BEFORE
    assert [each.name for each in claude.iterdir()] == ["settings.json"]
    assert "no line of ours" in home.run("statusline", "--remove").stdout


def test_without_settings_it_makes_them_and_takes_them_away(home, claude):
    assert home.run("statusline", "--install").returncode == 0
    assert json.loads((claude / "settings.json").read_bytes())["statusLine"]["type"] == "command"
    assert home.run("statusline", "--remove").returncode == 0
    assert list(claude.iterdir()) == []


def test_a_link_to_settings_stays_a_link(home, claude, tmp_path):
    real = tmp_path / "dotfiles.json"
    real.write_bytes(BEFORE)
    (claude / "settings.json").symlink_to(real)
    home.run("statusline", "--install")
    assert (claude / "settings.json").is_symlink()
    assert b"statusline" in real.read_bytes()


def test_settings_that_cannot_be_read_are_named_and_left(home, claude):
    (claude / "settings.json").write_text("{ // mine\n}")
    done = home.run("statusline", "--install")
    assert done.returncode == 1
    assert f"{claude}/settings.json: it is no JSON object; nothing was changed" in done.stderr
    assert [each.name for each in claude.iterdir()] == ["settings.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders there")
def test_a_pipe_in_the_place_of_settings_holds_nobody_up(home, claude):
    os.mkfifo(claude / "settings.json")
    done = home.run("statusline", "--install")
    assert done.returncode == 1
    assert f"{claude}/settings.json is not a file; nothing was changed" in done.stderr


def test_a_subscriptions_cost_is_marked():
    total = dict.fromkeys(_TOKENS, 1) | {"cache_share": None, "cost_usd": 2.0, "unpriced_requests": 0, "subscription_cost_usd": 2.0}
    assert list(_parts({"rows": [total], "total": total, "gateway": "there", "budgets": []}))[-1] == "~$2.00"


def test_a_ledger_that_cannot_be_written_is_told():
    told = {"gateway": "there", "budgets": [], "ledger": {"error": "the disk is full"}, "rows": []}
    assert list(_parts(told)) == ["there", "the ledger cannot be written: sidecar doctor"]


async def test_a_status_line_tells_of_a_ledger_that_cannot_be_written(tmp_path):
    (tmp_path / "home" / "ledger.db").mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)
    async with (
        raw_gateway(says(reply(BODY, b"content-type: application/json"))) as there,
        running(tmp_path / "home", one_gateway(there.url)) as sidecar,
    ):
        await ask(sidecar, b"x-claude-code-session-id: " + SESSION.encode(), body=b'{"model":"claude-opus-4-8"}')
        await until(lambda: (daemon_state.read(sidecar.places.state_file) or {})["ledger"]["error"])
        assert (await line(**agents(sidecar)))[0] == "the ledger cannot be written: sidecar doctor\n"
