"""Stored keys in the operating system's keyring, and what keeps a keyring from being used.

Everything here blocks, if a person has to unlock something even for long: the vault calls it in a thread, `login` directly.
Importing this file imports keyring, which takes longer than most commands do: import it where it is needed.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import keyring
import keyring.core
from keyring.backends import chainer, fail, null
from keyring.errors import InitError, KeyringLocked, NoKeyringError
from keyring.util import platform_

from sidecar.credentials.stored import KeyringIsLocked, NoKeyring, Stored, from_text, to_text
from sidecar.errors import CredentialFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyring.backend import KeyringBackend

SERVICE = "sidecar"

_ELSEWHERE = "or take the key from a variable or a command (`credential` in config.yaml)"
_INSTALL = f"install and unlock one (on Linux gnome-keyring or KWallet), {_ELSEWHERE}"
_SWITCHED_OFF = (
    "unset PYTHON_KEYRING_BACKEND"
    if os.environ.get("PYTHON_KEYRING_BACKEND")
    else (f"take default-keyring out of {os.path.join(platform_.config_root(), 'keyringrc.cfg')}")
)
_UNPROTECTED = f"{sys.executable} -m pip uninstall keyrings.alt"

#: What opens a locked keyring on this system.
UNLOCK = {
    "darwin": "security unlock-keychain",
    "linux": "gnome-keyring-daemon --replace --unlock    (type the keyring's password, then Ctrl-D twice), or log in to the desktop",
}.get(sys.platform, "unlock it")


def read(name: str, home: str | None = None) -> Stored | None:
    """The key stored as `name` from the sidecar's home `home`, None for the user's own."""
    found = _find(name, home)
    return None if found is None else found[1]


def write(name: str, stored: Stored, home: str | None = None) -> None:
    with _translated():
        _backend().set_password(SERVICE, _entry(name, home), to_text(replace(stored, home=home or "")))


def remove(name: str, home: str | None = None) -> bool:
    """Whether there was one."""
    found = _find(name, home)
    if found is None:
        return False
    with _translated():
        _backend().delete_password(SERVICE, found[0])
    return True


def _entry(name: str, home: str | None) -> str:
    """The entry's name in the keyring.  Two homes have an entry each, so that a login from one cannot replace the other's key."""
    return name if home is None else f"{name}@{home}"


def _find(name: str, home: str | None) -> tuple[str, Stored] | None:
    """The entry's name and what it holds.

    Earlier versions used one entry for all homes.  Such an entry, which names no home, belongs to every home that has none of its own.
    """
    for entry in dict.fromkeys((_entry(name, home), name)):
        with _translated():
            text = _backend().get_password(SERVICE, entry)
        if text is not None:
            stored = from_text(text, name, "the keyring")
            if entry == _entry(name, home) or stored.home is None:
                return entry, stored
    return None


def check() -> str:
    """The name of the backend in use.  Raises `NoKeyring` when it is none to keep keys in."""
    with _translated():
        return class_name(_backend())


def refuse_unsafe(backend: KeyringBackend) -> None:
    """Raises `NoKeyring` for a backend, or a chain with a member, that keeps nothing or keeps it in the open."""
    members = (backend, *backend.backends) if isinstance(backend, chainer.ChainerBackend) else (backend,)
    for member in members:
        name = class_name(member)
        if isinstance(member, fail.Keyring):
            raise NoKeyring(f"no keyring can be reached on this machine (the backend is {name})", _INSTALL)
        if isinstance(member, null.Keyring):
            raise NoKeyring(f"the keyring is switched off: its backend {name} keeps nothing", f"{_SWITCHED_OFF}, {_ELSEWHERE}")
        if any(kind.__module__.startswith("keyrings.alt.") for kind in type(member).__mro__):
            raise NoKeyring(f"the keyring's backend {name} does not protect what it keeps", f"{_UNPROTECTED}, {_ELSEWHERE}")


def class_name(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _backend() -> KeyringBackend:
    if isinstance(keyring.get_keyring(), fail.Keyring):
        keyring.core.init_backend()  # a keyring may have been started since we last looked
    backend = keyring.get_keyring()
    refuse_unsafe(backend)
    return backend


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what a keyring raises into `CredentialFailed`: backends raise keyring's errors, those of their D-Bus library, OSErrors."""
    try:
        yield
    except CredentialFailed:
        raise
    except NoKeyringError as error:
        raise NoKeyring(f"no keyring can be reached on this machine ({_words(error)})", _INSTALL) from error
    except (InitError, KeyringLocked) as error:
        raise KeyringIsLocked(
            f"the keyring is locked ({_words(error)})", f"{UNLOCK}; or keep the key in a file: sidecar login GATEWAY --file"
        ) from error
    except Exception as error:
        raise CredentialFailed(f"the keyring failed ({_words(error)})", "sidecar doctor") from error


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
