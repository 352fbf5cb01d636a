"""Keyring backends for tests without a keyring.  `viable = False`: keyring never picks them by itself."""

from __future__ import annotations

import threading

from keyring.backend import KeyringBackend
from keyring.errors import InitError, PasswordDeleteError


class Memory(KeyringBackend):
    """Keeps everything in a dictionary, and counts how often it was read."""

    viable = False
    priority = 1

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.reads = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError("no such password")


class Locked(Memory):
    """As a Secret Service whose prompt was dismissed."""

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002 - the interface's arguments
        raise InitError("Failed to create the collection: Prompt dismissed..")


class Slow(Memory):
    """Answers only when `unlocked` is set, like one that waits for a person."""

    def __init__(self) -> None:
        super().__init__()
        self.unlocked = threading.Event()
        self.asked = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        answer = super().get_password(service, username)
        self.asked.set()
        self.unlocked.wait(30)
        return answer
