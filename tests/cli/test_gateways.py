"""`gateways`: which there are, and where their keys come from, with the daemon down and up.  Never a key."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(autouse=True)
def configured(home):
    home.path.mkdir(mode=0o700)
    file = home.path / "config.yaml"
    file.write_text("gateway: corp\ngateways: {corp: {base_url: https://llm.example/x/, credential: {env: CORP_KEY}}}\n")
    file.chmod(0o600)


def rows(home) -> dict[str, dict[str, object]]:
    found = home.run("gateways", "--json")
    assert (found.returncode, found.stderr) == (0, "")
    return {row["name"]: row for row in json.loads(found.stdout)["gateways"]}


def test_without_a_daemon_keys_are_looked_up_in_this_shell(home):
    home.environ |= {"CORP_KEY": "made-up", "AI_GATEWAY_API_KEY": "made-up"}
    found = rows(home)
    assert found["corp"] == {
        "name": "corp",
        "preset": None,
        "base_url": "https://llm.example/x",
        "beside": False,
        "active": True,
        "key": True,
        "where": "$CORP_KEY",
        "error": None,
        "state": "there",
        "trouble": None,
    }
    assert (found["vercel"]["key"], found["vercel"]["where"]) == (True, "$AI_GATEWAY_API_KEY")
    assert (found["edgee"]["key"], found["edgee"]["active"]) == (False, False)


def test_a_running_daemon_is_asked_about_each(home, daemon):
    daemon(credential={"key": False, "where": None, "error": "the keyring is locked"})
    found = rows(home)
    assert (found["corp"]["key"], found["corp"]["error"]) == (False, "the keyring is locked")
    assert {f"/_sidecar/credential?gateway={name}" for name in found} <= {path for _, path, _ in home.asked()}


@pytest.mark.parametrize(
    ("state", "words"),
    [("bound_elsewhere", "bound to another address"), ("locked", "keyring locked"), ("failed", "cannot be read"), ("none", "none")],
)
def test_the_table_tells_apart_why_there_is_no_key(home, daemon, state, words):
    daemon(credential={"key": False, "where": None, "error": "why", "state": state})
    shown = home.run("gateways").stdout
    (corp,) = (line for line in shown.splitlines() if " corp " in line)
    assert corp.rstrip().endswith(words)


def test_what_the_running_sidecar_met_with_a_gateway_is_said(home, daemon):
    trouble = {"gateway": "corp", "kind": "refused", "at": 0, "status": 401, "why": "", "beside": False}
    daemon(credential={"key": True, "where": "$CORP_KEY", "error": None, "trouble": trouble})
    assert "corp refused the key (401, 00:00): sidecar login corp" in home.run("gateways").stderr


def test_the_table_shows_where_a_key_is_and_not_the_key(home):
    home.environ["CORP_KEY"] = "made-up-secret"
    found = home.run("gateways")
    assert (found.returncode, found.stderr) == (0, "")
    (corp,) = (line for line in found.stdout.splitlines() if " corp " in line)
    assert "*" in corp
    assert "https://llm.example/x" in corp
    assert "$CORP_KEY" in corp
    assert "made-up-secret" not in found.stdout


def test_an_active_gateway_without_a_key_is_pointed_out(home):
    assert home.run("gateways").stderr == f"there is no key for corp: see its credential in {home.path}/config.yaml\n"
    assert "sidecar login" in home.run("use", "vercel").stderr
