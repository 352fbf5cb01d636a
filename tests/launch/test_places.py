from __future__ import annotations

import os
import stat
import sys

import pytest

from sidecar.launch import places

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX")
ROOT = sys.platform != "win32" and os.geteuid() == 0


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_one_variable_puts_everything_under_one_folder(tmp_path):
    found = places.find({"SIDECAR_HOME": str(tmp_path / "h")})
    assert found.config_file == str(tmp_path / "h" / "config.yaml")
    assert {
        os.path.dirname(path) for path in (found.ledger, found.pass_key, found.keys, found.state_file, found.lock_file, found.logs)
    } == {str(tmp_path / "h")}
    assert not (tmp_path / "h").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG folders are Linux's")
def test_on_linux_configuration_and_state_have_folders_of_their_own(tmp_path):
    home = str(tmp_path)
    plain = places.find({"HOME": home})
    assert (plain.config_dir, plain.state_dir) == (f"{home}/.config/sidecar", f"{home}/.local/state/sidecar")
    moved = places.find({"HOME": home, "XDG_CONFIG_HOME": f"{home}/c", "XDG_STATE_HOME": f"{home}/s"})
    assert (moved.config_dir, moved.state_dir) == (f"{home}/c/sidecar", f"{home}/s/sidecar")
    relative = places.find({"HOME": home, "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": ""})
    assert (relative.config_dir, relative.state_dir) == (plain.config_dir, plain.state_dir)


def test_the_option_beats_the_variable_and_both_beat_the_usual_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {"SIDECAR_HOME": str(tmp_path / "h"), "SIDECAR_CONFIG": "named.yaml"}
    assert places.find(environ).config_file == str(tmp_path / "named.yaml")
    assert places.find(environ, "given.yaml").config_file == str(tmp_path / "given.yaml")
    assert places.find(environ, "given.yaml").environment() == {
        "SIDECAR_HOME": str(tmp_path / "h"),
        "SIDECAR_CONFIG": str(tmp_path / "given.yaml"),
    }
    assert places.find({**environ, "SIDECAR_CONFIG": ""}).config_given is False


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o777])
def test_a_home_that_others_can_write_to_is_refused(tmp_path, bits):
    home = tmp_path / "h"
    home.mkdir()
    home.chmod(bits)
    with pytest.raises(places.UnsafeHome, match="chmod go-w"):
        places.find({"SIDECAR_HOME": str(home)})


def test_a_home_in_a_folder_where_everybody_may_replace_it_is_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(places.UnsafeHome, match="which holds"):
        places.find({"SIDECAR_HOME": str(shared / "h")})
    shared.chmod(0o1777)
    places.find({"SIDECAR_HOME": str(shared / "h")})


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
def test_root_does_not_work_in_another_users_home(tmp_path):
    theirs = tmp_path / "alice"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with pytest.raises(places.UnsafeHome, match="root"):
        places.find({"HOME": str(theirs)})
    with pytest.raises(places.UnsafeHome, match="root"):
        places.find({"SIDECAR_HOME": str(theirs)})


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_what_is_written_is_this_users_alone_whatever_the_umask(tmp_path, umask):
    path = str(tmp_path / "a" / "b" / "file")
    before = os.umask(umask)
    try:
        places.write_private(path, b"one")
        places.write_private(path, b"two")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b"), mode(path)) == (0o700, 0o700, 0o600)
    assert os.listdir(tmp_path / "a" / "b") == ["file"]
    with open(path, "rb") as file:
        assert file.read() == b"two"
