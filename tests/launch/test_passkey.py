from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from sidecar.errors import SidecarError
from sidecar.launch import passkey


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "home" / "pass.key")


def test_the_key_is_made_once_and_for_this_user_alone(path):
    before = os.umask(0)
    try:
        key = passkey.load_or_create(path)
    finally:
        os.umask(before)
    assert len(key) == 32
    assert passkey.load_or_create(path) == key
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert os.listdir(os.path.dirname(path)) == ["pass.key"]


def test_six_at_once_make_one(path):
    program = "import sys; from sidecar.launch import passkey; sys.stdin.read(1); print(passkey.load_or_create(sys.argv[1]).hex())"
    starters = [subprocess.Popen([sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)]
    for starter in starters:
        starter.stdin.write(b"g")
        starter.stdin.flush()
    keys = {starter.communicate()[0] for starter in starters}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


def test_a_rotated_key_is_seen_at_the_next_look(path):
    key = passkey.PassKey(path)
    before = key.current()
    passkey.rotate(path)
    assert key.current() == passkey.load(path) != before


def test_a_key_that_vanishes_stays_in_force(path):
    key = passkey.PassKey(path)
    before = key.current()
    os.unlink(path)
    assert key.current() == before


def test_a_damaged_key_says_how_to_make_a_new_one(path):
    passkey.load_or_create(path)
    with open(path, "wb") as file:
        file.write(b"short")
    with pytest.raises(SidecarError, match="sidecar token --rotate"):
        passkey.load_or_create(path)
    passkey.rotate(path)
    assert len(passkey.load_or_create(path)) == 32


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders there")
def test_a_pipe_in_the_place_of_the_key_holds_nobody_up(path):
    key = passkey.PassKey(path)
    before = key.current()
    os.unlink(path)
    os.mkfifo(path)
    assert key.current() == before
    with pytest.raises(SidecarError, match=r"is not a file.*sidecar token --rotate"):
        passkey.load_or_create(path)
    passkey.rotate(path)
    assert key.current() == passkey.load(path) != before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_key_that_others_can_read_is_refused(path):
    passkey.load_or_create(path)
    os.chmod(path, 0o640)
    with pytest.raises(SidecarError, match="others can read"):
        passkey.load_or_create(path)
