"""`sidecar run` as a process, with a fake daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sidecar import __version__
from sidecar.launch.passes import check
from sidecar.launch.passkey import load

#: What a start of an agent must not wait for.
SLOW = {
    "asyncio", "dataclasses", "logging", "pathlib", "subprocess", "typing", "tempfile", "inspect", "http.client", "urllib", "shutil",
    "aiohttp", "pydantic", "yaml", "keyring", "structlog", "rich", "sidecar.config", "sidecar.server", "sidecar.launch.spawn",
}  # fmt: skip
#: What half of such a start would be spent on.
SLOW_FOR_EACH_START = SLOW | {
    "argparse", "base64", "collections", "enum", "functools", "hashlib", "hmac", "importlib", "json", "re", "signal", "sidecar.launch.parser",
}  # fmt: skip


def started(result):
    """What the agent printed: its arguments and environment."""
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def pass_of(home, text):
    return check(load(home.places.pass_key), text, time.time())


def test_the_agent_gets_its_own_arguments_and_a_pass(home, daemon):
    daemon()
    path = home.agent()
    argv, environ = started(home.run("run", "-t", "a,b", "-t", "b", "-s", "mine", "agent", "-t", "x", "--", "y"))
    assert argv == [str(path), "-t", "x", "--", "y"]
    found = pass_of(home, environ["ANTHROPIC_AUTH_TOKEN"])
    assert (found.scope, found.tags, found.session, found.gateway, found.project) == ("agent", ("a", "b"), "mine", None, "shop")
    assert 89 * 86400 < found.expires - time.time() < 91 * 86400
    assert environ["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")


def test_a_gateway_is_pinned_only_when_it_is_named(home, daemon):
    daemon()
    home.agent()
    environ = started(home.run("run", "-g", "gw", "agent"))[1]
    assert pass_of(home, environ["ANTHROPIC_AUTH_TOKEN"]).gateway == "gw"


def test_the_gateways_key_stays_here_and_goes_to_the_daemon(home, daemon):
    daemon()
    home.agent()
    home.environ |= {"GW_KEY": "secret", "OTHER": "mine", "HTTPS_PROXY": ""}
    environ = started(home.run("run", "agent"))[1]
    assert "GW_KEY" not in environ
    assert environ["OTHER"] == "mine"
    assert ["POST", "/_sidecar/variables", {"GW_KEY": "secret"}] in home.asked()


def test_an_inner_run_replaces_the_outer_ones_pass(home, daemon):
    daemon()
    home.agent()
    environ = started(home.run("run", "-t", "outer", "--", sys.executable, "-m", "sidecar", "run", "-t", "inner", "--", "agent"))[1]
    assert pass_of(home, environ["ANTHROPIC_AUTH_TOKEN"]).tags == ("inner",)


def test_stdin_and_the_exit_code_are_the_agents(home, daemon):
    daemon()
    home.script("agent", "#!/bin/sh\ncat; exit 42\n")
    result = home.run("run", "agent", input="from the user")
    assert (result.returncode, result.stdout, result.stderr) == (42, "from the user", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_agent_as_if_nobody_stood_between(home, daemon, number):
    daemon()
    home.script("agent", "#!/bin/sh\necho $$\nread never\n")
    with home.popen("run", "agent", stdin=subprocess.PIPE) as process:
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(number)
        assert process.wait(5) == -number


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says which signals are ignored")
def test_the_agent_ends_by_a_closed_pipe_as_it_would_alone(home, daemon):
    daemon()
    home.script("agent", "#!/bin/sh\ngrep SigIgn /proc/self/status\n")
    assert int(home.run("run", "agent").stdout.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


def test_a_command_that_is_nowhere_is_127(home, daemon):
    result = home.run("run", "no-such-agent")
    assert (result.returncode, result.stderr) == (127, "sidecar: no-such-agent: command not found\n")


@pytest.mark.parametrize("kind", ["file", "folder", "interpreter"])
def test_a_command_that_cannot_be_started_is_126(home, daemon, kind):
    daemon()
    if kind == "file":
        home.script("agent", "#!/bin/sh\n", mode=0o644)
    elif kind == "folder":
        (home.bin / "agent").mkdir()
    else:
        home.script("agent", "#!/no/such/interpreter\n")
    result = home.run("run", "agent")
    assert result.returncode == 126
    assert str(home.bin / "agent") in result.stderr


def test_what_is_not_executable_is_passed_over_when_path_has_another(home, daemon, tmp_path):
    daemon()
    home.script("agent", "no\n", mode=0o644)
    later = tmp_path / "later"
    later.mkdir()
    (later / "agent").write_text("#!/bin/sh\necho later\n")
    (later / "agent").chmod(0o755)
    home.environ["PATH"] += f"{os.pathsep}{later}"
    assert home.run("run", "agent").stdout == "later\n"


def test_an_unknown_gateway_is_named_and_nothing_is_started(home, daemon):
    daemon()
    home.script("agent", "#!/bin/sh\necho started\n")
    result = home.run("run", "-g", "nowhere", "agent")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "sidecar: there is no gateway 'nowhere'\n  there are gw; see: sidecar gateways\n"


def test_without_a_key_nothing_is_started(home, daemon):
    known = {"gw": {"beside": False, "agent_env": {}, "remove": [], "key": None}}
    daemon(gateways=known, credential={"key": False, "where": None, "error": None})
    home.script("agent", "#!/bin/sh\necho started\n")
    result = home.run("run", "agent")
    assert (result.returncode, result.stdout) == (125, "")
    assert result.stderr == "sidecar: there is no key for gateway 'gw'\n  sidecar login gw\n"


def test_a_key_that_cannot_be_read_says_why(home, daemon):
    known = {"gw": {"beside": False, "agent_env": {}, "remove": [], "key": False}}
    daemon(gateways=known, credential={"key": False, "where": None, "error": "the keyring is locked"})
    home.agent()
    result = home.run("run", "agent")
    assert result.returncode == 125
    assert "the keyring is locked" in result.stderr


@pytest.mark.parametrize("option", [["-s", "a\nb"], ["-t", "x" * 257], ["-t", "a,\x1b[2J"]], ids=["session", "long tag", "escape"])
def test_a_label_that_could_not_travel_is_a_usage_fault(home, daemon, option):
    home.agent()
    result = home.run("run", *option, "agent")
    assert result.returncode == 2
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"version": "0.0.1"}, f"sidecar: the running daemon is version 0.0.1, this is {__version__}: sidecar restart\n"),
        ({"config": "/etc/other.yaml"}, "sidecar: the running daemon reads /etc/other.yaml, not {config}: sidecar restart\n"),
        ({"config_error": "config.yaml:1:10: no"}, "sidecar: config.yaml:1:10: no; the last good configuration is in force\n"),
    ],
    ids=["version", "file", "fault"],
)
def test_a_daemon_that_is_not_as_expected_is_named_in_one_line(home, daemon, said, line):
    daemon(**said)
    home.agent()
    result = home.run("run", "agent")
    started(result)
    assert result.stderr == line.format(config=home.places.config_file)


@pytest.mark.parametrize("place", ["user", "moved", "project", "local"])
def test_a_settings_file_with_a_variable_that_is_ignored_is_named_once(home, daemon, place):
    daemon()
    home.agent()
    file = {
        "user": home.user / ".claude" / "settings.json",
        "moved": home.path / "claude" / "settings.json",
        "project": home.folder / ".claude" / "settings.json",
        "local": home.folder / ".claude" / "settings.local.json",
    }[place]
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"env": {"ANTHROPIC_DEFAULT_HAIKU_MODEL": "small", "ANTHROPIC_BASE_URL": "http://elsewhere"}}))
    if place == "moved":
        home.environ["CLAUDE_CONFIG_DIR"] = str(file.parent)
    result = home.run("run", "agent")
    started(result)
    assert result.stderr.count("ANTHROPIC_DEFAULT_HAIKU_MODEL") == 1
    assert f"in {file} here" in result.stderr
    assert "ANTHROPIC_BASE_URL" not in result.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"env": ["ANTHROPIC_MODEL"]}', '{"env": null}'])
def test_settings_that_cannot_be_read_are_claudes_business(home, daemon, text):
    daemon()
    home.agent()
    (home.folder / ".claude").mkdir()
    (home.folder / ".claude" / "settings.json").write_text(text)
    assert home.run("run", "agent").stderr == ""


@pytest.mark.parametrize(
    ("command", "slow"),
    [
        (["run", "-g", "gw", "-t", "a,b", "--", "agent"], SLOW_FOR_EACH_START),
        (["statusline"], SLOW_FOR_EACH_START),
        (["run", "--tag=a", "agent"], SLOW),
        (["env"], SLOW),
        (["env", "--json"], SLOW),
        (["token"], SLOW),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_nothing_slow_is_imported(home, daemon, command, slow):
    daemon()
    home.script("agent", "#!/bin/sh\n")
    port = json.loads((home.path / "daemon.json").read_text())["port"]
    home.environ |= {"GW_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "sidecar-pass-x", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
    result = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-c",
            "import sys; from sidecar.launch.main import main; sys.exit(main(sys.argv[1:]))",
            *command,
        ],
        env=home.environ,
        cwd=home.folder,
        input='{"session_id": "s"}',
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    # What the interpreter itself brings along, an editable installation's finder for example, is not ours to avoid.
    bare = subprocess.run([sys.executable, "-X", "importtime", "-c", ""], capture_output=True, text=True, check=True).stderr
    brought = {line.rpartition("|")[2].strip() for line in bare.splitlines()}
    loaded = imported - brought
    assert "sidecar.launch.passes" in loaded
    assert not {name for name in loaded for each in slow if name == each or name.startswith(f"{each}.")}


def test_a_squatter_on_the_port_gets_no_variable_and_no_pass(home, daemon, squatter):
    gone = daemon(port=squatter.port, instance="gone")
    state = home.path / "daemon.json"
    stale = state.read_text()
    gone.kill()
    gone.wait()
    state.write_text(stale)
    home.environ["GW_KEY"] = "secret"
    for command in (["status"], ["stop"]):
        home.run(*command)
    assert b"/_sidecar/health?nonce=" in squatter.heard
    assert b"secret" not in squatter.heard
    assert b"sidecar-pass" not in squatter.heard
