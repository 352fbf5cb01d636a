from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from sidecar.credentials import command
from sidecar.errors import CredentialFailed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are a POSIX shell's")


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


async def wait_until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - another process's doing, which sets no event of ours
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Not gone, and not a zombie that nobody here can collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("echo one; echo two", "one"),
        ("printf '  one \\r\\n'", "one"),
        ("printf one", "one"),
        ("true", ""),
        ("echo noise >&2; echo one", "one"),
        ("echo one; yes | head -c 1000000", "one"),
        ('echo $0 "$(cat)"', "sh"),
    ],
    ids=["first line", "stripped", "no line end", "nothing", "stderr", "more than a pipe holds", "no input"],
)
async def test_the_first_line_of_what_is_printed(script, line):
    assert await command.run(sh(script)) == line


async def test_arguments_are_not_read_by_a_shell_and_the_folder_is_home():
    assert await command.run(("echo", "$HOME;", "*")) == "$HOME; *"
    assert os.path.samefile(await command.run(("pwd",)), Path.home())


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("sidecar-has-no-such-command", "s3cret"), "does not start"),
        (("/etc/passwd", "s3cret"), "does not start"),
        (sh("echo s3cret; echo s3cret >&2; exit 3"), "exit code 3"),
        (sh("kill -9 $$; : s3cret"), "exit code -9"),
    ],
)
async def test_a_failure_is_named_without_what_was_printed_or_given(argv, words):
    with pytest.raises(CredentialFailed) as failed:
        await command.run(argv)
    assert words in failed.value.message
    assert "s3cret" not in str(failed.value)


async def test_what_takes_too_long_is_killed_with_all_it_started(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(CredentialFailed, match="took longer"):
        await command.run(sh(f"sleep 600 & echo $! $$ > {pids}; wait"), 0.5)
    await wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


async def test_a_cancelled_wait_kills_it_too(tmp_path):
    pid = tmp_path / "pid"
    waiting = asyncio.ensure_future(command.run(sh(f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600")))
    await wait_until(pid.exists)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wait_until(lambda: not is_running(int(pid.read_text())))


def test_it_works_the_same_on_the_event_loop_of_the_daemon():
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not for Windows")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(command.run(sh("sleep 60 & echo one; kill $!"))) == "one"
        with pytest.raises(CredentialFailed, match="exit code 3"):
            runner.run(command.run(sh("exit 3")))
        with pytest.raises(CredentialFailed, match="took longer"):
            runner.run(command.run(sh("sleep 60"), 0.2))
        with pytest.raises(CredentialFailed, match="does not start"):
            runner.run(command.run(("sidecar-has-no-such-command",)))


async def test_a_helper_it_leaves_behind_with_the_pipe_open_is_not_waited_for(tmp_path):
    pid = tmp_path / "pid"
    async with asyncio.timeout(5):
        assert await command.run(sh(f"sleep 600 & echo $! > {pid}; echo one")) == "one"
    os.kill(int(pid.read_text()), 9)
