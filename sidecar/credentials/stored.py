"""The keys that `sidecar login` stores, and the files in `keys/` that hold them on machines without a keyring.

A stored key is bound to the origins (scheme, host, port) it was stored for, so that a changed `base_url` cannot carry it elsewhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.credentials import files
from sidecar.errors import CredentialFailed, NoCredential
from sidecar.launch.places import write_private

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class NoKeyring(CredentialFailed):
    """There is no keyring on this machine, or none that keeps a key safe."""


class BoundElsewhere(NoCredential):
    """The stored key is for other addresses than the gateway's."""

    state = "bound_elsewhere"


class KeyringIsLocked(CredentialFailed):
    """Somebody has to unlock the keyring first."""

    state = "locked"


@dataclass(frozen=True, slots=True)
class Stored:
    """One key and the origins it may be sent to.

    `home` is the sidecar's home that stored it, empty for the user's own; None for an entry of an earlier version, which did not say.
    """

    key: str = field(repr=False)
    origins: tuple[str, ...]
    home: str | None = field(default=None, compare=False)


def checked(value: str, where: str) -> str:
    """`value`, if a header can carry it: printable ASCII, not empty.  The error says where it came from, never what it was."""
    if not value:
        raise CredentialFailed(f"the key from {where} is empty")
    if not (value.isascii() and value.isprintable()):
        raise CredentialFailed(f"the key from {where} has a character that no key has: a line break, a control character, an accent")
    return value


def to_text(stored: Stored) -> str:
    return json.dumps({"key": stored.key, "origins": stored.origins, "home": stored.home})


def from_text(text: str, name: str, where: str) -> Stored:
    try:
        match json.loads(text):
            case {"key": str(key), "origins": [*origins], **more}:
                home = more.get("home")
                return Stored(checked(key, where), tuple(map(str, origins)), home if isinstance(home, str) else None)
    except ValueError:
        pass
    raise CredentialFailed(f"{where} holds {name!r} in a form that sidecar login does not write", f"sidecar login {name}")


def read_file(keys: str, name: str) -> tuple[Stored, files.Version] | None:
    found = files.read_private(file_path(keys, name))
    if found is None:
        return None
    text, version = found
    return from_text(text, name, f"keys/{name}"), version


def write_file(keys: str, name: str, stored: Stored) -> None:
    write_private(file_path(keys, name), to_text(stored).encode())


def remove_file(keys: str, name: str) -> bool:
    """Whether there was one."""
    try:
        Path(file_path(keys, name)).unlink()
    except FileNotFoundError:
        return False
    return True


def file_path(keys: str, name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise CredentialFailed(f"{name!r} cannot be the name of a key file", "use letters, digits, dots, dashes and underscores")
    return str(Path(keys, name))
