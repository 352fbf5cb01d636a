"""Starts the daemon in the background and waits until it serves, or says why it does not.

The child's environment is an allow-list, so that no key is in it; the variables of the starting shell go over stdin and stay in
the child's memory.  It answers on stdout with one line of JSON, then lets go of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any, cast

from sidecar.errors import SidecarError
from sidecar.launch import client
from sidecar.launch import daemon_state as state
from sidecar.launch.places import private_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places

START_SECONDS = 60.0
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "NO_COLOR")
_KEPT_FOR_THE_KEYRING = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND")
_KEPT_ON_WINDOWS = (
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "APPDATA",
    "LOCALAPPDATA",
    "USERPROFILE",
    "USERNAME",
)
_KEPT_PREFIXES = ("LC_", "XDG_")


class DidNotStart(SidecarError):
    """The daemon said why, or died without a word.  `exit_code` is the daemon's own."""

    def __init__(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def clean_environment(environ: Mapping[str, str], places: Places) -> dict[str, str]:
    """What the daemon's own environment may hold: enough to find the home, the keyring and the language; no key."""
    names = {*_KEPT, *_KEPT_FOR_THE_KEYRING, *_KEPT_ON_WINDOWS}
    kept = {name: value for name, value in environ.items() if name.upper() in names or name.startswith(_KEPT_PREFIXES)}
    return kept | places.environment()


def start(places: Places, environ: Mapping[str, str], *, replace: bool = False, warm: str | None = None) -> tuple[State, str | None]:
    """The serving daemon's state, and what it wants the user to know.  Raises `SidecarError`.

    Of starters at the same time one starts it; the others wait for that one and find it serving.  With `replace` the new daemon
    takes the place of the one that runs, also if that one is ending by itself.  `warm` is that of `client.verified`.
    """
    lock = state.Lock(places.start_lock)
    if not lock.acquire(wait_seconds=START_SECONDS):
        raise SidecarError("another command has been starting the sidecar for a minute", "sidecar status")
    try:
        running = client.verified(places, warm)
        if running and not replace and not client.is_ending(running):
            return running, None
        notice = _launch(places, environ, ["--replace"] if replace or running else [])
        if running := client.verified(places, warm):
            return running, notice
    finally:
        lock.release()
    raise DidNotStart("the sidecar started, and does not answer", "sidecar logs")


def _launch(places: Places, environ: Mapping[str, str], options: list[str]) -> str | None:
    private_folder(places.logs)
    errors = os.path.join(places.logs, "daemon.stderr")
    with open(os.open(errors, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "rb") as stderr:
        process = _popen(options, clean_environment(environ, places), stderr)
        line = _converse(process, json.dumps(dict(environ)).encode())
        try:
            answer = json.loads(line)
        except ValueError:
            code = process.wait()
            stderr.seek(0)
            last = stderr.read()[-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise DidNotStart(f"the sidecar did not start (exit code {code}): {last or 'no message'}", f"see {errors}") from None
    if "error" in answer:
        process.wait()
        raise DidNotStart(answer["error"], answer.get("hint", ""), answer.get("exit_code", 1))
    process.returncode = 0  # it lives on without us: nobody is to wait for it
    notice: str | None = answer.get("notice")
    return notice


def _popen(options: list[str], environment: dict[str, str], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    detached: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        detached = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    # -P: the folder where it runs is no place to import modules from.
    command = [sys.executable, "-P", "-m", "sidecar.server", *options]
    pipe, home = subprocess.PIPE, os.path.expanduser("~")
    folder = home if os.path.isdir(home) else os.sep  # a service's user often has a home that does not exist
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, env=environment, cwd=folder, **detached)  # noqa: S603 - our own module


def _converse(process: subprocess.Popen[bytes], said: bytes) -> bytes:
    """Say one thing, hear one line."""
    stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with stdout:
        try:
            with stdin:
                stdin.write(said)
        except OSError:
            pass  # it has died already; the line is empty then
        return stdout.readline()
