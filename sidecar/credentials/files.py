"""Files that hold a secret: read only if nobody else can, and told apart from later versions by one `stat`."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.errors import CredentialFailed
from sidecar.launch.files import NotRegular, read_with_info

if TYPE_CHECKING:
    import os

#: What changes when a file does: its time of change in nanoseconds, size and inode.
Version = tuple[int, int, int]

LARGEST_FILE = 64 * 1024

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][\w.-]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""'(?P<literal>[^']*)'|"(?P<escaped>(?:[^"\\]|\\.)*)\"""")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def version(path: str) -> Version | None:
    """None when there is no such file."""
    try:
        return _version(Path(path).stat())
    except OSError:
        return None


def read_private(path: str) -> tuple[str, Version] | None:
    """Its text and which version that was; None when there is no such file.  Raises `CredentialFailed`."""
    try:
        data, info = read_with_info(path, LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotRegular:
        raise CredentialFailed(f"the key file {path} is not a regular file") from None
    except OSError as error:
        raise CredentialFailed(f"the key file {path} cannot be read: {error.strerror}") from error
    _refuse_shared(path, info)
    if len(data) > LARGEST_FILE:
        raise CredentialFailed(f"the key file {path} is larger than {LARGEST_FILE // 1024} KiB: it holds no key")
    return data.decode("utf-8-sig", "replace"), _version(info)


def _refuse_shared(path: str, info: os.stat_result) -> None:
    # On Windows the mode says nothing; there the access list of the user's folder keeps others out.
    if sys.platform != "win32" and info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialFailed(
            f"the key file {path} is open to others (mode {stat.S_IMODE(info.st_mode):04o})",
            f"chmod 600 {path}; if others may have read it, ask the gateway for a new key",
        )


def _version(info: os.stat_result) -> Version:
    return info.st_mtime_ns, info.st_size, info.st_ino


def first_line(text: str) -> str:
    return text.partition("\n")[0].strip()


def dotenv_value(text: str, name: str) -> str | None:
    """The value of `name` in a dotenv file, the last one if there are several; None without one.

    `export` before it, single quotes (taken literally), double quotes (with escapes) and comments are understood.
    """
    value = None
    for line in text.splitlines():
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment and assignment["name"] == name:
            value = _unquoted(assignment["value"].strip())
    return value


def _unquoted(text: str) -> str:
    quoted = _QUOTED.match(text)
    if quoted is None:
        return _COMMENT.sub("", text).strip()
    if quoted["literal"] is not None:
        return quoted["literal"]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted["escaped"])
