"""`use` changes the file by one scalar, only to what loads, and says what running sessions do."""

from __future__ import annotations

import json
import os
import stat

import pytest

from sidecar.config.load import load

TEXT = "# mine\r\ngateway: 'vercel'  # for now\r\ntags: [laptop]\r\n"


@pytest.fixture
def file(home):
    home.path.mkdir(mode=0o700)
    return home.path / "config.yaml"


def test_it_changes_the_one_scalar_and_keeps_the_mode(home, file):
    file.write_bytes(TEXT.encode())
    file.chmod(0o644)
    found = home.run("use", "edgee")
    assert found.returncode == 0
    assert file.read_bytes() == TEXT.replace("vercel", "edgee").encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert "edgee is the active gateway now" in found.stdout
    assert os.listdir(home.path) == ["config.yaml"], "nothing else is left behind"


def test_with_no_file_it_makes_one_that_is_private(home):
    assert home.run("use", "edgee").returncode == 0
    file = home.path / "config.yaml"
    assert file.read_text() == "gateway: edgee\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(home.places).gateway == "edgee"


def test_as_json_it_says_what_it_did_and_what_went_wrong(home):
    told = json.loads(home.run("use", "edgee", "--json").stdout)
    assert told == {"gateway": "edgee", "file": str(home.path / "config.yaml"), "changed": True, "running": False, "has_key": False}
    assert json.loads(home.run("use", "edgee", "--json").stdout)["changed"] is False
    done = home.run("use", "edge", "--json")
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (2, 2)
    assert json.loads(done.stdout)["error"] in done.stderr


def test_it_edits_the_target_of_a_link_in_place(home, file, tmp_path):
    target = tmp_path / "dotfiles" / "sidecar.yaml"
    target.parent.mkdir()
    target.write_text("gateway: vercel\n")
    file.symlink_to(target)
    assert home.run("use", "edgee").returncode == 0
    assert file.is_symlink()
    assert target.read_text() == "gateway: edgee\n"


def test_an_unknown_gateway_is_refused_and_the_known_ones_are_named(home, file):
    file.write_bytes(TEXT.encode())
    found = home.run("use", "egdee")
    assert found.returncode == 2
    assert "egdee" in found.stderr
    assert "edgee" in found.stderr
    assert file.read_bytes() == TEXT.encode()


def test_a_preset_that_needs_a_base_url_says_so(home):
    found = home.run("use", "litellm")
    assert found.returncode == 2
    assert "litellm has no default address" in found.stderr
    assert "sidecar login litellm --base-url" in found.stderr
    assert not (home.path / "config.yaml").exists()


def test_it_mends_a_gateway_that_does_not_exist(home, file):
    file.write_text("gateway: gone\n")
    file.chmod(0o600)
    assert home.run("use", "edgee").returncode == 0
    assert file.read_text() == "gateway: edgee\n"


@pytest.mark.parametrize("text", ["gateway: vercel\nlog: {level: loud}\n", "gateway: [\n", "gateway: vercel\ngateway: edgee\n"])
def test_a_file_with_another_fault_is_left_alone(home, file, text):
    file.write_text(text)
    file.chmod(0o600)
    found = home.run("use", "edgee")
    assert found.returncode == 3
    assert "config.yaml:2:" in found.stderr
    assert file.read_text() == text


def test_what_is_active_already_is_not_written_again(home, file):
    file.write_bytes(TEXT.encode())
    before = file.stat()
    found = home.run("use", "vercel")
    assert "as before" in found.stdout
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_without_a_key_it_says_how_to_store_one(home):
    assert "sidecar login edgee" in home.run("use", "edgee").stderr
    home.environ["EDGEE_API_KEY"] = "made-up"
    assert home.run("use", "edgee").stderr == ""


def test_running_sessions_follow(home, daemon, file):
    file.write_bytes(TEXT.encode())
    daemon(config=str(file))
    found = home.run("use", "edgee")
    assert "Running sessions follow with their next request" in found.stdout
    assert found.stderr == ""
    assert ["GET", "/_sidecar/credential?gateway=edgee", None] in home.asked()


def test_a_daemon_that_reads_another_file_is_named(home, daemon, file):
    file.write_bytes(TEXT.encode())
    daemon(config="/elsewhere/config.yaml")
    found = home.run("use", "edgee")
    assert "/elsewhere/config.yaml" in found.stdout
    assert "sidecar restart" in found.stdout
