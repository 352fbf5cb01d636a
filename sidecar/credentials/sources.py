"""Reads one source of a secret once.  Caching, order and sharing are the vault's."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.credentials import command, files, stored
from sidecar.credentials.stored import BoundElsewhere, KeyringIsLocked, checked
from sidecar.gateways.gateway import Command, KeyFile, Keyring, SecretFile, Source, Variable
from sidecar.limits import limited

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.credentials.stored import Stored

KEYRING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A secret, the words for where it came from, and whether it may still be used without looking again."""

    value: str = field(repr=False)
    where: str
    is_current: Callable[[], bool] = field(repr=False)


class Sources:
    """Everything a secret can come from.  `keys` is the folder of stored key files, `variable` gives a variable's value or None."""

    def __init__(self, keys: str, variable: Callable[[str], str | None], home: str | None = None) -> None:
        self._keys = keys
        self._variable = variable
        self._keyring = KeyringThread(home)
        self._commands: dict[tuple[str, ...], asyncio.Lock] = {}

    async def read(self, source: Source, origin: str) -> Reading | None:
        """None when the source does not have it.  Raises `NoCredential` for a key stored for another origin, else `CredentialFailed`."""
        match source:
            case Keyring(name):
                return await self._from_keyring(name, origin)
            case KeyFile(name):
                return self._from_key_file(name, origin)
            case Variable(name):
                return self._from_variable(name)
            case SecretFile(path, key):
                return _from_file(path, key)
            case Command(argv, ttl_seconds):
                return await self._from_command(argv, ttl_seconds)

    async def _from_keyring(self, name: str, origin: str) -> Reading | None:
        found = await self._keyring.read(name)
        if found is None:
            return None
        return Reading(_bound(found, origin, name), "the keyring", lambda: True)

    def _from_key_file(self, name: str, origin: str) -> Reading | None:
        found = stored.read_file(self._keys, name)
        if found is None:
            return None
        key, version = found
        path = stored.file_path(self._keys, name)
        return Reading(_bound(key, origin, name), f"keys/{name}", lambda: files.version(path) == version)

    def _from_variable(self, name: str) -> Reading | None:
        value = self._variable(name)
        if value is None:
            return None
        return Reading(checked(value, f"the variable {name}"), f"${name}", lambda: self._variable(name) == value)

    async def _from_command(self, argv: tuple[str, ...], ttl_seconds: float | None) -> Reading:
        # One at a time: what asks for a finger or a password must not ask twice.
        async with self._commands.setdefault(argv, asyncio.Lock()):
            value = checked(await command.run(argv), f"the command {argv[0]}")
        until = None if ttl_seconds is None else time.monotonic() + ttl_seconds
        return Reading(value, f"command {argv[0]}", lambda: until is None or time.monotonic() < until)


def _from_file(path: str, key: str | None) -> Reading | None:
    found = files.read_private(path)
    if found is None:
        return None
    text, version = found
    value = files.first_line(text) if key is None else files.dotenv_value(text, key)
    if not value:
        return None
    where = path if key is None else f"{path} ({key})"
    return Reading(checked(value, where), where, lambda: files.version(path) == version)


def _bound(found: Stored, origin: str, name: str) -> str:
    """Its key, if it was stored for `origin`."""
    if origin not in found.origins:
        raise BoundElsewhere(
            f"the key stored as {name!r} is for {' and '.join(found.origins)}, but would go to {origin}",
            f"if that is right, store it again: sidecar login {name}",
        )
    return found.key


class KeyringThread:
    """Asks the keyring in a thread, one question at a time.

    A keyring may wait for a person to unlock it.  Then the question is given up after `seconds`, but its thread goes on, and
    no other is asked, and no second dialogue opened, before that one has come to an end.
    """

    def __init__(self, home: str | None = None, seconds: float = KEYRING_SECONDS) -> None:
        self._home = home
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._asked: Future[Stored | None] | None = None

    async def read(self, name: str) -> Stored | None:
        try:
            async with limited(self._seconds), self._turn:
                if self._asked is not None and not self._asked.done():
                    with contextlib.suppress(Exception):  # its failure was for who asked it
                        await asyncio.wrap_future(self._asked)
                self._asked = _ask(name, self._home)
                return await asyncio.wrap_future(self._asked)
        except TimeoutError:
            raise KeyringIsLocked(f"the keyring did not answer within {self._seconds:g} s", "unlock it and try again") from None


def _ask(name: str, home: str | None) -> Future[Stored | None]:
    answer: Future[Stored | None] = Future()
    answer.set_running_or_notify_cancel()  # who stops waiting for it does not cancel it

    def ask() -> None:
        from sidecar.credentials import system_keyring  # noqa: PLC0415 - imports keyring, too slow for the event loop

        try:
            answer.set_result(system_keyring.read(name, home))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the asker gets it
            answer.set_exception(error)

    # A daemon thread: one that hangs must not keep the process from ending.
    threading.Thread(target=ask, name="keyring", daemon=True).start()
    return answer
