"""Writes a configuration's text, whole or not at all.  `use`, `login`, `config init` and `config edit` call it."""

from __future__ import annotations

import os
import stat

from sidecar.launch.places import new_private, private_folder


def save(path: str, text: str, *, mode: int = 0o600) -> None:
    """In one step, through a link to its target.  A file that is there keeps its mode; `mode` is that of a new one."""
    target = os.path.realpath(path)
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        private_folder(os.path.dirname(target))
    temporary = new_private(target, text.encode())
    try:
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError:
        os.unlink(temporary)
        raise
