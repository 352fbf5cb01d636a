"""Runs the user's command that prints a secret, and takes the first line of what it prints."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.credentials.files import first_line
from sidecar.errors import CredentialFailed
from sidecar.limits import limited

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

COMMAND_SECONDS = 10.0
LARGEST_OUTPUT = 64 * 1024

#: What a command has printed is in the pipe when it exits; its end may never come, if it left something running with the pipe open.
_REST_SECONDS = 0.5


async def run(argv: Sequence[str], seconds: float = COMMAND_SECONDS) -> str:
    """Its output's first line.  No shell, no input, the home folder; stderr is read by nobody.

    Whatever it started is killed with it when it takes too long or nobody waits any more.  Raises `CredentialFailed`.
    """
    output = _Output()
    try:
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: output,
            *argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path.home(),
            **_OWN_GROUP,
        )
    except OSError as error:
        raise CredentialFailed(f"the credential command {argv[0]} does not start: {error.strerror}") from error
    try:
        async with limited(seconds):
            await output.exited.wait()
        async with limited(_REST_SECONDS):
            await output.ended.wait()
    except TimeoutError:
        if not output.exited.is_set():
            raise CredentialFailed(f"the credential command {argv[0]} took longer than {seconds:g} s and was stopped") from None
    finally:
        if not output.exited.is_set():
            _kill_group(transport)
            with contextlib.suppress(TimeoutError):
                async with limited(_REST_SECONDS):
                    await output.exited.wait()
        transport.close()
    if status := transport.get_returncode():
        raise CredentialFailed(f"the credential command {argv[0]} failed with exit code {status}", "run it by hand to see why")
    return first_line(output.data.decode("utf-8", "replace"))


class _Output(asyncio.SubprocessProtocol):
    """Keeps what is printed, up to a limit, and drops the rest, so that the command never waits for a reader."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - stdout is the only pipe
        self.data += data[: LARGEST_OUTPUT - len(self.data)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - the same
        self.ended.set()

    def process_exited(self) -> None:
        self.exited.set()


_OWN_GROUP: dict[str, Any]
if sys.platform == "win32":
    _OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}

    def _kill_group(transport: asyncio.SubprocessTransport) -> None:
        transport.kill()
else:
    _OWN_GROUP = {"start_new_session": True}

    def _kill_group(transport: asyncio.SubprocessTransport) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
