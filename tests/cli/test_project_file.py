"""A checkout's `.sidecar.yaml`: read upward to the checkout's root, asked about once for each content, followed by `run`."""

from __future__ import annotations

import json
import os
import pty
import stat
import sys

import pytest

from sidecar.launch.passes import check
from sidecar.launch.passkey import load

TWO = {"gateways": {name: {"beside": False, "agent_env": {}, "remove": [], "key": True} for name in ("vercel", "edgee")}}


@pytest.fixture
def checkout(home, daemon):
    daemon(gateway="vercel", **TWO)
    home.agent()
    (home.folder / ".git").mkdir()
    inner = home.folder / "src" / "deep"
    inner.mkdir(parents=True)
    home.top, home.folder = home.folder, inner
    return home


def pass_of(home, result):
    environment = json.loads(result.stdout)[1]
    return check(load(home.places.pass_key), environment["ANTHROPIC_AUTH_TOKEN"], 0)


def on_terminal(home, answer: bytes, *words: str) -> bytes:
    """What the command shows on a terminal on which `answer` is typed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home.folder)
        os.execve(sys.executable, [sys.executable, "-m", "sidecar", *words], home.environ)
    shown = b""
    try:
        while b"[y/N]" not in shown and (data := os.read(terminal, 4096)):
            shown += data
        os.write(terminal, answer)
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:  # Linux says so when the other side has closed
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown


def test_it_is_not_followed_before_the_user_has_said_so(checkout):
    (checkout.top / ".sidecar.yaml").write_text("gateway: edgee\ntags: [shop]\n")
    result = checkout.run("run", "--", "agent")
    assert pass_of(checkout, result).gateway is None
    assert (
        f"{checkout.top}/.sidecar.yaml asks for gateway edgee and tag shop, and is not followed until you say: sidecar trust"
        in result.stderr
    )


def test_what_was_trusted_pins_gateway_and_tags_and_is_said_in_one_line(checkout):
    (checkout.top / ".sidecar.yaml").write_text("gateway: edgee\ntags: [shop]\n")
    assert checkout.run("trust").returncode == 0
    result = checkout.run("run", "-t", "mine", "--", "agent")
    held = pass_of(checkout, result)
    assert (held.gateway, held.tags) == ("edgee", ("mine", "shop"))
    assert result.stderr.splitlines() == [f"sidecar: gateway edgee and tag shop ({checkout.top}/.sidecar.yaml)"]
    assert stat.S_IMODE(os.stat(checkout.places.trusted).st_mode) == 0o600


def test_an_option_wins_over_it(checkout):
    (checkout.top / ".sidecar.yaml").write_text("gateway: edgee\n")
    checkout.run("trust")
    assert pass_of(checkout, checkout.run("run", "-g", "vercel", "--", "agent")).gateway == "vercel"


def test_another_content_is_asked_about_again(checkout):
    file = checkout.top / ".sidecar.yaml"
    file.write_text("gateway: edgee\n")
    checkout.run("trust")
    file.write_text("gateway: edgee # and more\n")
    assert pass_of(checkout, checkout.run("run", "--", "agent")).gateway is None


def test_the_nearest_one_counts_and_none_above_the_checkout(checkout):
    (checkout.top.parent / ".sidecar.yaml").write_text("gateway: edgee\n")
    assert checkout.run("trust").returncode == 2
    (checkout.folder.parent / ".sidecar.yaml").write_text("tags: [near]\n")
    (checkout.top / ".sidecar.yaml").write_text("tags: [far]\n")
    checkout.run("trust")
    assert pass_of(checkout, checkout.run("run", "--", "agent")).tags == ("near",)


def test_on_a_terminal_it_asks_once(checkout):
    (checkout.top / ".sidecar.yaml").write_text("gateway: edgee\n")
    shown = on_terminal(checkout, b"y\n", "run", "--", "agent")
    assert b"asks for gateway edgee. Follow it? [y/N]" in shown
    assert pass_of(checkout, checkout.run("run", "--", "agent")).gateway == "edgee"


def test_no_is_an_answer_too(checkout):
    (checkout.top / ".sidecar.yaml").write_text("gateway: edgee\n")
    on_terminal(checkout, b"\n", "run", "--", "agent")
    result = checkout.run("run", "--", "agent")
    assert pass_of(checkout, result).gateway is None
    assert result.stderr == ""


@pytest.mark.parametrize("text", ["base_url: https://evil.example\n", "gateway: [\n", "x" * 20_000])
def test_a_file_that_says_more_than_it_may_is_named_and_not_followed(checkout, text):
    (checkout.top / ".sidecar.yaml").write_text(text)
    result = checkout.run("run", "--", "agent")
    assert pass_of(checkout, result).gateway is None
    assert ".sidecar.yaml" in result.stderr
    assert "not followed" in result.stderr


def test_a_pipe_of_that_name_holds_nobody_up(checkout):
    os.mkfifo(checkout.top / ".sidecar.yaml")
    result = checkout.run("run", "--", "agent")
    assert result.returncode == 0
    assert "is not a file" in result.stderr


def test_an_unknown_gateway_in_it_is_refused_before_the_agent_starts(checkout):
    (checkout.top / ".sidecar.yaml").write_text("gateway: edge\n")
    checkout.run("trust")
    result = checkout.run("run", "--", "agent")
    assert result.returncode == 2
    assert "there is no gateway 'edge'; did you mean edgee?" in result.stderr


def test_use_here_writes_it_at_the_root_and_trusts_it(checkout):
    result = checkout.run("use", "--here", "edgee")
    assert result.returncode == 0, result.stderr
    file = checkout.top / ".sidecar.yaml"
    assert file.read_text() == "gateway: edgee\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert pass_of(checkout, checkout.run("run", "--", "agent")).gateway == "edgee"


def test_use_here_keeps_the_layout_of_the_nearest_one(checkout):
    file = checkout.top / ".sidecar.yaml"
    file.write_bytes(b"# ours\r\ngateway: 'vercel' # for now\r\ntags: [shop]\r\n")
    assert checkout.run("use", "--here", "edgee").returncode == 0
    assert file.read_bytes() == b"# ours\r\ngateway: 'edgee' # for now\r\ntags: [shop]\r\n"
    assert checkout.run("use", "--here", "edge").returncode == 2


def test_env_and_token_belong_to_this_folder_only_when_asked(checkout):
    checkout.run("use", "--here", "edgee")
    key = load(checkout.places.pass_key)
    held = check(key, checkout.run("token").stdout.strip(), 0)
    assert (held.gateway, held.project) == (None, None)
    held = check(key, checkout.run("token", "--here").stdout.strip(), 0)
    assert (held.gateway, held.project) == ("edgee", checkout.top.name)
    block = json.loads(checkout.run("env", "--json", "--here", "--ttl", "8h").stdout)["env"]
    assert check(key, block["ANTHROPIC_AUTH_TOKEN"], 0).project == checkout.top.name


def test_a_token_as_json_says_when_it_ends(checkout):
    shown = json.loads(checkout.run("token", "--json", "--ttl", "8h", "-g", "edgee", "-t", "a,b").stdout)
    held = check(load(checkout.places.pass_key), shown["pass"], 0)
    assert shown["expires"].endswith("Z")
    assert (held.gateway, held.tags) == (shown["gateway"], tuple(shown["tags"])) == ("edgee", ("a", "b"))
