"""`sidecar statusline --install` and `--remove`: our line into Claude Code's settings file, and out of it again."""

from __future__ import annotations

import os
import stat
from shlex import quote
from typing import TYPE_CHECKING

from sidecar.cli.setup.claude_settings import with_line, without_line
from sidecar.cli.setup.wrapper import own_command
from sidecar.errors import SidecarError, UsageError
from sidecar.launch.files import NotRegular, read_regular
from sidecar.launch.places import new_private, private_folder

if TYPE_CHECKING:
    from argparse import Namespace

_EMPTY = "{\n}\n"
_BACKUP = ".before-sidecar"
_LARGEST = 4 << 20


def change(args: Namespace) -> int:
    if args.install and args.remove:
        raise UsageError("--install and --remove are opposites", "leave one of them out")
    folder = os.environ.get("CLAUDE_CONFIG_DIR") or os.path.join(os.path.expanduser("~"), ".claude")
    # A link stays one: settings often lie in a repository of the user's.
    path = os.path.realpath(os.path.join(folder, "settings.json"))
    before = _read(path)
    try:
        after = with_line(before or _EMPTY, quote(own_command())) if args.install else without_line(before or _EMPTY)
    except SidecarError as error:
        raise SidecarError(f"{path}: {error.message}", error.hint) from None
    if after == (before or _EMPTY):
        print(f"The line is in {path} already." if args.install else f"There is no line of ours in {path}.")
        return 0
    if args.install:
        _install(path, before, after)
    else:
        _remove(path, after)
    return 0


def _install(path: str, before: str | None, after: str) -> None:
    if before is not None:
        _replace(path + _BACKUP, before, _mode(path))
    private_folder(os.path.dirname(path))
    _replace(path, after, 0o600 if before is None else _mode(path))
    print(f"Added to {path}. Claude Code shows the line from its next start on.")
    if before is not None:
        print(f"The file as it was: {path}{_BACKUP}")
    print("To take it out again: sidecar statusline --remove")


def _remove(path: str, after: str) -> None:
    backup = _read(path + _BACKUP)
    if backup is None and after == _EMPTY:
        os.unlink(path)  # made by us, and nothing else has come into it
    else:
        _replace(path, after, _mode(path))
    if backup == after:
        os.unlink(path + _BACKUP)
    print(f"Taken out of {path}.")


def _read(path: str) -> str | None:
    try:
        data = read_regular(path, _LARGEST + 1)
    except FileNotFoundError:
        return None
    except NotRegular as error:
        raise SidecarError(f"{error}; nothing was changed", "put a file there first") from None
    if len(data) > _LARGEST:
        raise SidecarError(f"{path} is larger than {_LARGEST >> 20} MiB; nothing was changed", "no settings are: mend it by hand first")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SidecarError(f"{path} is not UTF-8; nothing was changed", "mend it by hand first") from None


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _replace(path: str, text: str, mode: int) -> None:
    temporary = new_private(path, text.encode())
    os.chmod(temporary, mode)
    os.replace(temporary, path)
