"""Reading files that others may have made: never waits, never reads without end.

A checkout, a settings file or a variable can name a pipe or a device; to open one for reading waits for whoever writes to it.
"""

from __future__ import annotations

import os
import stat


class NotRegular(OSError):
    """The path names something else than a file: a pipe, a device, a folder."""


def read_regular(path: str, limit: int) -> bytes:
    """The first `limit` bytes of a regular file, through links.  Raises OSError: FileNotFoundError, PermissionError, `NotRegular`."""
    return read_with_info(path, limit)[0]


def read_with_info(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """As `read_regular`, and what the system says of the very file that was read: owner, mode, time of change."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise NotRegular(f"{path} is not a file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit), info
    finally:
        os.close(descriptor)
