from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.launch import daemon_state as state

HOLDER = "import sys; from sidecar.launch.daemon_state import Lock; print(Lock(sys.argv[1]).acquire(), flush=True); sys.stdin.read()"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "daemon.lock")


@pytest.fixture
def holder(path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"True\n"
        yield process
        process.kill()


def test_the_second_does_not_get_it(path, holder):
    assert state.Lock(path).acquire() is False
    assert state.held(path)


def test_the_kernel_frees_it_when_its_holder_is_killed(path, holder):
    holder.kill()
    holder.wait()
    assert not state.held(path)
    lock = state.Lock(path)
    assert lock.acquire()
    lock.release()


def test_a_child_of_the_holder_does_not_keep_it(path):
    program = HOLDER.replace("sys.stdin.read()", "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)")
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", program, path], stdout=subprocess.PIPE) as process:
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.kill()
        process.wait()
        try:
            assert not state.held(path)
        finally:
            subprocess.run(["kill", lines[1].decode().strip()], check=True)


def test_nobody_holds_a_lock_that_was_never_made(path):
    assert not state.held(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"port": "4180", "instance": "x", "gateways": {}}', '{"port": 0, "instance": "x", "gateways": {}}', "\xff"],
)
def test_a_state_file_that_cannot_be_used_is_as_good_as_none(tmp_path, text):
    (tmp_path / "daemon.json").write_text(text, encoding="latin-1")
    assert state.read(str(tmp_path / "daemon.json")) is None
