"""Where everything lives on this machine, and how a private file is written.

`find` names the paths and refuses a home that someone else could tamper with; it makes nothing.  What writes makes its folder
with `private_folder` and its file with `write_private`: 0700 and 0600 whatever the umask.

Standard library only, and little of it: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

import os
import stat
import sys

from sidecar.errors import SidecarError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: A price table newer than the installed one, in the ledger's folder.
PRICES_FILE = "prices.json"


class UnsafeHome(SidecarError):
    """Somebody else could read or replace what the sidecar trusts."""


class Places:
    """Absolute paths.  `config_given`: the configuration file was named by the user, so it has to exist."""

    __slots__ = (
        "config_dir",
        "config_file",
        "config_given",
        "home",
        "keys",
        "ledger",
        "lock_file",
        "logs",
        "pass_key",
        "prices",
        "start_lock",
        "state_dir",
        "state_file",
        "trusted",
    )

    def __init__(self, config_dir: str, state_dir: str, *, home: str | None = None, config: str | None = None) -> None:
        self.home = home
        self.config_dir = config_dir
        self.state_dir = state_dir
        self.config_given = config is not None
        self.config_file = config or os.path.join(config_dir, "config.yaml")
        self.ledger = os.path.join(state_dir, "ledger.db")
        self.pass_key = os.path.join(state_dir, "pass.key")
        self.keys = os.path.join(state_dir, "keys")
        self.state_file = os.path.join(state_dir, "daemon.json")
        self.lock_file = os.path.join(state_dir, "daemon.lock")
        self.start_lock = os.path.join(state_dir, "start.lock")
        self.prices = os.path.join(state_dir, PRICES_FILE)
        self.trusted = os.path.join(state_dir, "trusted.json")
        self.logs = os.path.join(state_dir, "logs")

    def environment(self) -> dict[str, str]:
        """The variables with which another process, in another folder, finds the same places."""
        named = {"SIDECAR_HOME": self.home, "SIDECAR_CONFIG": self.config_file if self.config_given else None}
        return {name: value for name, value in named.items() if value}


def find(environ: Mapping[str, str], config: str | None = None) -> Places:
    """Raises `UnsafeHome`.  `config` is what `--config` says; an empty variable counts as not set."""
    config = config or environ.get("SIDECAR_CONFIG") or None
    config = os.path.abspath(config) if config else None
    home = environ.get("SIDECAR_HOME")
    if home:
        home = os.path.abspath(home)
        places = Places(home, home, home=home, config=config)
    else:
        places = Places(*_folders(environ), config=config)
    for folder in {places.config_dir, places.state_dir}:
        _refuse_unsafe(folder)
    return places


def _folders(environ: Mapping[str, str]) -> tuple[str, str]:
    """The folders for configuration and for state that this system's users expect."""
    user = environ.get("HOME") or os.path.expanduser("~")
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA") or os.path.join(os.path.expanduser("~"), "AppData", "Local")
        both = os.path.join(local, "sidecar")
        return both, both
    if sys.platform == "darwin":
        both = os.path.join(user, "Library", "Application Support", "sidecar")
        return both, both

    def base(variable: str, default: str) -> str:
        # The XDG specification: a relative path is invalid and has to be ignored.
        given = environ.get(variable, "")
        return os.path.join(given if os.path.isabs(given) else os.path.join(user, default), "sidecar")

    return base("XDG_CONFIG_HOME", ".config"), base("XDG_STATE_HOME", os.path.join(".local", "state"))


def _refuse_unsafe(folder: str) -> None:
    """Who can write to a folder can put another key, state file or configuration there; so can who owns a folder above it."""
    if sys.platform == "win32":  # a user's local application data is private by its access list
        return
    me = os.geteuid()
    folder = os.path.realpath(folder)
    for above in _existing(folder):
        info = os.stat(above)
        if me == 0 and info.st_uid != 0:
            raise UnsafeHome(
                f"running as root in a folder of another user: {above}", "run it as that user, or set SIDECAR_HOME to a folder of root's"
            )
        if above != folder:
            if info.st_mode & stat.S_IWOTH and not info.st_mode & stat.S_ISVTX:
                raise UnsafeHome(f"others can write to {above}, which holds {folder}", f"chmod o-w {above}")
            continue
        if not stat.S_ISDIR(info.st_mode):
            raise UnsafeHome(f"{folder} is not a folder", "move it away")
        if info.st_uid != me:
            raise UnsafeHome(f"{folder} is owned by someone else", "set SIDECAR_HOME to a folder of your own")
        if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UnsafeHome(f"others can write to {folder}", f"chmod go-w {folder}")


def _existing(folder: str) -> Iterator[str]:
    """`folder` and every folder above it, as far as they exist."""
    while True:
        if os.path.lexists(folder):
            yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def private_folder(path: str) -> None:
    """Make the folder, and those above it that are missing, for this user alone."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        private_folder(os.path.dirname(path))
        private_folder(path)
        return
    os.chmod(path, 0o700)  # the umask may have taken even the owner's rights


def make_private(paths: Iterable[str]) -> None:
    """Take others' rights away from those of `paths` that exist."""
    if sys.platform == "win32":
        return
    for path in paths:
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except FileNotFoundError:
            continue
        if mode & 0o077:
            os.chmod(path, mode & 0o700)


def write_private(path: str, data: bytes) -> None:
    """Replace the file in one step, readable by this user alone; its folder is made if missing."""
    private_folder(os.path.dirname(path))
    temporary = new_private(path, data)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def new_private(path: str, data: bytes) -> str:
    """A new file beside `path` with this content, on disk; returns its name.  Every OSError names the file."""
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(descriptor, "wb") as file:
            if sys.platform != "win32":
                os.fchmod(descriptor, 0o600)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        os.unlink(temporary)
        raise OSError(error.errno, error.strerror, path) from error
    return temporary
