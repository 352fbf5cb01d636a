"""`doctor`: every gateway that the user has to do with, each fault once, and what to type that helps on this machine."""

from __future__ import annotations

import json
import socket
import sys

import keyring.core
import pytest
from fakes.keyrings import Locked, Memory
from keyring.backends import fail, null
from keyring.errors import KeyringLocked

from sidecar.cli.running.gateway_findings import Finding, gateway_findings
from sidecar.cli.setup.wrapper import script
from sidecar.config.load import load
from sidecar.credentials import system_keyring
from sidecar.credentials.stored import Stored
from sidecar.launch.places import write_private


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def dead():
    """A port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def examine(home, monkeypatch):
    """In this process, with a keyring of the test's own."""
    before = keyring.core._keyring_backend
    for name in ("PATH", "HOME", "SIDECAR_HOME"):
        monkeypatch.setenv(name, home.environ[name] if name != "PATH" else str(home.bin))

    def examined(text="", backend=None):
        keyring.set_keyring(Memory() if backend is None else backend)
        write(home, text)
        return list(gateway_findings(home.places, load(home.places), None))

    yield examined
    keyring.core._keyring_backend = before


def write(home, text):
    write_private(home.places.config_file, text.encode())


def wrap(home, gateway, options=()):
    home.script(f"claude-{gateway}", script(["/opt/sidecar", *options], gateway, "/opt/claude"))


def findings(home, code=None):
    done = home.run("doctor", "--json")
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert done.returncode == int(not report["healthy"])
    if code is not None:
        assert done.returncode == code
    return [Finding(**each) for each in report["findings"]]


def about(found, word):
    return [each for each in found if word in each.what]


def test_a_fresh_machine_is_healthy_and_nobody_is_connected_to(home):
    found = findings(home, 0)
    (no_key,) = about(found, "no gateway has a key yet")
    assert (no_key.level, no_key.hint.split(";")[0]) == ("warning", "sidecar login GATEWAY --file")
    assert about(found, "anthropic.com") == about(found, "gateway '") == []


def test_a_key_for_another_gateway_than_the_active_one_is_pointed_out(home):
    home.environ["AI_GATEWAY_API_KEY"] = "made-up"
    (active,) = about(findings(home), "the active gateway, anthropic, has no key; there is one for vercel")
    assert (active.level, active.hint) == ("warning", "sidecar use vercel")


def test_every_gateway_that_is_configured_or_wrapped_is_examined(home, listening, dead):
    write(
        home,
        "gateway: one\ngateways:\n"
        f"  one: {{base_url: 'http://127.0.0.1:{listening}', credential: {{env: ONE_KEY}}}}\n"
        f"  two: {{base_url: 'http://127.0.0.1:{dead}'}}\n"
        f"  three: {{base_url: 'http://127.0.0.1:{dead}'}}\n",
    )
    wrap(home, "three")
    home.environ["ONE_KEY"] = "made-up"
    found = findings(home, 1)
    assert [each.what for each in about(found, "'one'")] == [
        "gateway 'one': its key comes from $ONE_KEY",
        f"gateway 'one': http://127.0.0.1:{listening} answers",
    ]
    assert [each.level for each in about(found, "'two'")] == ["warning", "warning"], "nobody has used it"
    assert [each.level for each in about(found, "'three'")] == ["failure", "failure"], "a wrapper does"
    assert about(found, "'three'")[0].hint == "sidecar login three --file"
    assert str(dead) in about(found, "'three'")[1].what


def test_an_active_gateway_that_was_chosen_fails_without_its_key(home):
    write(home, "gateway: corp\ngateways: {corp: {base_url: 'http://127.0.0.1:1', credential: {env: CORP_KEY}}}\n")
    (no_key, _) = about(findings(home, 1), "'corp'")
    assert (no_key.level, no_key.hint) == ("failure", f"see its credential in {home.path}/config.yaml")


def test_a_wrapper_of_a_gateway_that_is_gone_is_named(home):
    wrap(home, "gone")
    wrap(home, "theirs", ("--config", "/elsewhere/config.yaml"))
    (gone,) = about(findings(home, 0), "there is no such gateway")
    assert str(home.bin / "claude-gone") in gone.what


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("gw.localhost", False), ("[::1]", False), ("192.0.2.1", True)])
def test_plain_http_is_a_risk_only_towards_other_machines(examine, dead, host, warned, monkeypatch):
    monkeypatch.setattr("sidecar.cli.running.gateway_findings.CONNECT_SECONDS", 0.05)
    found = examine(f"gateways: {{lab: {{base_url: 'http://{host}:{dead}', allow_plaintext: true}}}}\n")
    assert bool(about(found, "can be read on the way")) is warned


class LockedByItsOwnWord(Memory):
    def get_password(self, service, username):
        raise KeyringLocked(f"{service} {username}")


@pytest.mark.parametrize("backend", [Locked, LockedByItsOwnWord])
def test_a_locked_keyring_is_told_once_with_what_unlocks_it(examine, backend):
    found = examine("gateways: {vercel: {}, edgee: {}}\n", backend())
    (state, *keys) = about(found, "locked")
    assert (state.level, state.hint) == ("warning", system_keyring.UNLOCK)
    assert [each.what for each in keys] == [
        "gateway 'vercel': its key may be in the keyring, which is locked",
        "gateway 'edgee': its key may be in the keyring, which is locked",
        "gateway 'anthropic': its key may be in the keyring, which is locked",
    ]
    assert {each.hint for each in keys} == {""}


@pytest.mark.parametrize(
    ("backend", "what", "hint"),
    [
        (fail.Keyring, "no keyring can be reached", "sidecar login GATEWAY --file"),
        (null.Keyring, "switched off", "keyringrc.cfg"),
        (
            type("Plain", (Memory,), {"__module__": "keyrings.alt.file"}),
            "does not protect",
            f"{sys.executable} -m pip uninstall keyrings.alt",
        ),
    ],
)
def test_keyrings_that_keep_nothing_safe_are_told_apart(examine, monkeypatch, backend, what, hint):
    monkeypatch.setattr(keyring.core, "init_backend", lambda *_: None)
    found = examine("", backend())
    (state,) = about(found, "keyring:")
    assert state.level == "warning"
    assert what in state.what
    assert hint in state.hint


def test_a_stored_key_is_found_and_one_for_another_address_is_told(examine, home, dead):
    backend = Memory()
    keyring.set_keyring(backend)
    system_keyring.write("mine", Stored("made-up", (f"http://127.0.0.1:{dead}",)), home.places.home)
    system_keyring.write("moved", Stored("made-up", ("https://before.example:443",)), home.places.home)
    text = f"gateways: {{mine: {{base_url: 'http://127.0.0.1:{dead}'}}, moved: {{base_url: 'http://127.0.0.1:{dead}'}}}}\n"
    found = examine(text, backend)
    assert about(found, "'mine'")[0] == Finding("ok", "gateway 'mine': its key comes from the keyring")
    assert about(found, "'mine'")[1].level == "failure", "it was stored to be used"
    assert "before.example" in about(found, "'moved'")[0].what


def test_a_key_that_was_refused_fails_with_what_to_type(home, daemon):
    write(home, "gateway: corp\ngateways: {corp: {base_url: 'http://127.0.0.1:1'}}\n")
    trouble = {"gateway": "corp", "kind": "refused", "at": 0, "status": 401, "why": "", "beside": False}
    daemon(config=str(home.path / "config.yaml"), credential={"key": True, "where": "a test", "error": None, "trouble": trouble})
    found = [each for each in findings(home, 1) if "corp refused the key (401, 00:00): sidecar login corp" in each.what]
    assert {each.level for each in found} == {"failure"}


def settings(home, folder, block):
    (folder / ".claude").mkdir(exist_ok=True)
    (folder / ".claude" / "settings.json").write_text(json.dumps({"env": block}))


def test_the_sidecars_own_block_in_a_settings_file_is_no_bypass(home, daemon):
    daemon()
    block = json.loads(home.run("env", "--json").stdout)["env"]
    settings(home, home.user, block)
    assert about(findings(home), "settings.json") == []
    settings(home, home.user, {**block, "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"})
    (stale,) = about(findings(home), "settings.json")
    assert "http://127.0.0.1:9" in stale.what
    assert "sidecar env --json" in stale.hint


def test_another_address_in_a_settings_file_is_a_bypass_and_told_once(home):
    settings(home, home.user, {"ANTHROPIC_BASE_URL": "https://llm.example", "ANTHROPIC_API_KEY": ""})
    home.folder = home.user  # where the project's settings are the user's
    (bypass,) = about(findings(home), "settings.json")
    assert "sets ANTHROPIC_BASE_URL: a plain `claude`" in bypass.what


def test_every_fault_of_the_configuration_is_told_and_the_way_out_once(home):
    write(home, "gateway: nope\nlog: {level: loud}\n")
    found = [each for each in findings(home, 1) if each.level == "failure"]
    assert [each.what.split(": ")[0] for each in found] == ["config.yaml:1:10", "config.yaml:2:14"]
    assert [bool(each.hint) for each in found] == [False, True]
