"""Processes from outside: where they run, what CPU time they have had, what memory they hold.  Linux only."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROXY_CORE, OTHER_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A program of the benchmark's did not do its part."""


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started meanwhile stays on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def started(command: Sequence[str], folder: str, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the block; what it says is kept in `folder`/output."""
    with open(os.path.join(folder, "output"), "ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment)  # noqa: S603 - the benchmark's own commands
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ran(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a command printed.  Raises `Failed`."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - the benchmark's own commands
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def installed(command: str) -> str | None:
    """Where it is; also in the folders of system programs, which are not on every user's PATH."""
    return shutil.which(command, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as children:
                    found += [int(child) for child in children.read().split()]
    return found


def cpu_seconds(root: int) -> float:
    """CPU time of a whole process tree, exact to the nanosecond: Linux lets anybody read any process's CPU clock."""
    total = 0.0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED, linux/posix-timers.h
    return total


def stolen_seconds() -> float:
    """CPU time, of all cores, at which this machine had work and the hardware worked for another one: `steal`, proc(5)."""
    with open("/proc/stat", encoding="ascii") as stat:
        return int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def rss_mib(root: int) -> float:
    """Memory of a process tree; pages that its processes share count in each."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            total += int(statm.read().split()[1]) * _PAGE
    return total / 2**20


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for_answer(url: str, process: subprocess.Popen[bytes], seconds: float = 120, poll_seconds: float = 0.05) -> None:
    """Until any HTTP answer comes.  Raises `Failed`."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - a port of ours
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(poll_seconds)
    raise Failed(f"{url} does not answer")
