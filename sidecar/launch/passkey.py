"""`pass.key`: the 32 random bytes that sign every pass.

Made once, whoever comes first; the daemon looks at the file again when it has changed, so that `sidecar token --rotate` needs
nobody's help.
"""

from __future__ import annotations

import os
import stat
import sys

from sidecar.errors import SidecarError
from sidecar.launch.files import NotRegular, read_with_info
from sidecar.launch.places import new_private, private_folder, write_private

BYTES = 32
_HINT = "make a new one, which ends all passes: sidecar token --rotate"


def load(path: str) -> bytes:
    """Raises FileNotFoundError, or `SidecarError` when the file is not what the sidecar wrote."""
    try:
        key, info = read_with_info(path, BYTES + 1)
    except NotRegular as error:
        raise SidecarError(str(error), _HINT) from None
    if len(key) != BYTES:
        raise SidecarError(f"{path} is damaged: {BYTES} bytes were expected", _HINT)
    if sys.platform != "win32" and info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SidecarError(f"others can read {path}", _HINT)
    return key


def load_or_create(path: str) -> bytes:
    try:
        return load(path)
    except FileNotFoundError:
        pass
    private_folder(os.path.dirname(path))
    temporary = new_private(path, os.urandom(BYTES))
    try:
        # A link fails when the name is taken: of six first commands one makes the key, and nobody ever sees half of it.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
    return load(path)


def rotate(path: str) -> None:
    """Every pass made so far is invalid from now on."""
    write_private(path, os.urandom(BYTES))


class PassKey:
    """The key as the daemon sees it: one `stat` a call, read again when the file has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._key = load_or_create(path)
        self._seen = self._stamp()

    def current(self) -> bytes:
        """A file that has vanished or is damaged leaves the last good key in force."""
        stamp = self._stamp()
        if stamp != self._seen:
            try:
                self._key = load(self._path)
            except (OSError, SidecarError):
                return self._key
            self._seen = stamp
        return self._key

    def _stamp(self) -> tuple[int, ...]:
        try:
            info = os.stat(self._path)
        except OSError:
            return ()
        return info.st_mtime_ns, info.st_ino, info.st_size
