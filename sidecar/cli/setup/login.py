"""`sidecar login` and `logout`: a gateway's key goes into the keyring, or with --file into a file, and out again.

The key comes from a terminal without echo or from stdin, never from the command line, where other processes could read it.
"""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.config.load import load
from sidecar.credentials import stored, system_keyring
from sidecar.credentials.stored import NoKeyring, Stored
from sidecar.errors import CredentialFailed, SidecarError, UsageError
from sidecar.gateways.gateway import Gateway, KeyFile, Keyring, Secret, Source
from sidecar.launch import client, passes
from sidecar.launch.names import UnknownGateway
from sidecar.launch.surroundings import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sidecar.config.settings import Settings
    from sidecar.launch.places import Places

LONGEST_LINE = 64 * 1024

#: Presets whose keys begin in a way of their own, as their documents show them.
_PREFIXES = {"vercel": "vck_", "anthropic": "sk-ant-", "openrouter": "sk-or-"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a key is stored as, and the gateways that take it from there."""

    name: str
    gateways: tuple[Gateway, ...]

    @property
    def origins(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(gateway.origin for gateway in self.gateways))

    @property
    def may_be_file(self) -> bool:
        return any(KeyFile(self.name) in _sources(gateway) for gateway in self.gateways)


def login(args: argparse.Namespace) -> int:
    settings = load(args.places)
    entry = _entry(settings, args.gateway)
    if args.file and not entry.may_be_file:
        raise UsageError(
            f"{args.gateway!r} takes its key from the keyring alone: {settings.path} says so",
            f"remove the gateway's `credential`, or type: sidecar login {args.gateway}",
        )
    if not args.file:
        _check_keyring(entry)  # before a key is asked for in vain
    key = _key_from_person(entry) if sys.stdin.isatty() else _key_from_stdin(args)
    _warn_of_other_gateways_key(key, entry)
    if args.file:
        _store_in_file(args.places, entry, key)
    else:
        _store_in_keyring(args.places, entry, key)
    _tell_daemon(args.places)
    print(f"Next: sidecar run -g {entry.gateways[0].name} -- claude")
    return 0


def logout(args: argparse.Namespace) -> int:
    try:
        name = _entry(load(args.places), args.gateway).name
    except UsageError:
        name = args.gateway  # a gateway that is no longer configured may have left a key
    removed = ["the key file"] if stored.remove_file(args.places.keys, name) else []
    not_asked: CredentialFailed | None = None
    try:
        removed += ["the keyring"] if system_keyring.remove(name, args.places.home) else []
    except CredentialFailed as error:
        not_asked = error
    _tell_daemon(args.places)
    if removed:
        print(f"Removed the key of {name} from {' and '.join(removed)}.")
    elif not_asked is None:
        print(f"There was no stored key of {name}.")
    if not_asked is not None and not (removed and isinstance(not_asked, NoKeyring)):
        said = "" if removed else f"there is no key file of {name}; "
        raise CredentialFailed(f"{said}whether the keyring holds a key of {name} could not be seen: {not_asked.message}", not_asked.hint)
    return 0


def _entry(settings: Settings, name: str) -> _Entry:
    """`name` is a gateway's, or that of a keyring entry which the configuration mentions.  Raises `UsageError`."""
    entry = name
    gateway = settings.gateways.get(name)
    if gateway is not None:
        entry = next((source.name for source in gateway.credential.sources if isinstance(source, Keyring | KeyFile)), name)
    users = [each for each in settings.gateways.values() if Keyring(entry) in _sources(each)]
    if users:
        users.sort(key=lambda each: each.name != name)  # the one that was named comes first
        return _Entry(entry, tuple(users))
    if gateway is not None:
        raise UsageError(
            f"the gateway {name!r} does not take its key from the keyring: {settings.path} names another source",
            "provide the key there, or remove the gateway's `credential`",
        )
    raise UnknownGateway(name, settings.gateways)


def _sources(gateway: Gateway) -> Iterator[Source]:
    yield from gateway.credential.sources
    for _, value in gateway.headers:
        if isinstance(value, Secret):
            yield from value.sources


def _check_keyring(entry: _Entry) -> None:
    try:
        system_keyring.check()
    except NoKeyring as error:
        if not entry.may_be_file:
            raise
        raise NoKeyring(error.message, f"sidecar login {entry.name} --file stores the key in a file; or {error.hint}") from error


def _key_from_person(entry: _Entry) -> str:
    try:
        typed = getpass.getpass(f"Key of {entry.name} for {' and '.join(entry.origins)} (not shown): ")
    except EOFError:
        typed = ""
    return _usable(typed, "the terminal")


def _key_from_stdin(args: argparse.Namespace) -> str:
    if not args.stdin:
        raise UsageError("there is no terminal to ask for the key on", f"sidecar login {args.gateway} --stdin reads it from stdin")
    return _usable(sys.stdin.buffer.readline(LONGEST_LINE).decode("utf-8", "replace"), "stdin")


def _usable(text: str, where: str) -> str:
    key = stored.checked(text.strip(), where)
    if any(character.isspace() for character in key):
        raise CredentialFailed(f"the key from {where} has white space inside, which no key has", "copy it again, in one piece")
    if key.startswith(passes.PREFIX):
        raise CredentialFailed("that is a sidecar pass, not a gateway's key", "the key is what the gateway gave you")
    return key


def _warn_of_other_gateways_key(key: str, entry: _Entry) -> None:
    owner = next((preset for preset, prefix in _PREFIXES.items() if key.startswith(prefix)), None)
    for gateway in entry.gateways:
        if owner and gateway.preset in _PREFIXES and gateway.preset != owner:
            say(f"this looks like a key of {owner}, not of {gateway.name}")


def _store_in_keyring(places: Places, entry: _Entry, key: str) -> None:
    new = Stored(key, entry.origins)
    system_keyring.write(entry.name, new, places.home)
    if system_keyring.read(entry.name, places.home) != new:
        raise CredentialFailed("the keyring did not give back what was stored in it", "sidecar doctor")
    print(f"Stored the key of {entry.name} in the keyring, for {' and '.join(entry.origins)}.")
    if stored.remove_file(places.keys, entry.name):
        print("Removed the one that was stored in a file before.")


def _store_in_file(places: Places, entry: _Entry, key: str) -> None:
    new = Stored(key, entry.origins)
    stored.write_file(places.keys, entry.name, new)
    found = stored.read_file(places.keys, entry.name)
    if found is None or found[0] != new:
        raise CredentialFailed("the key file does not hold what was stored in it", "sidecar doctor")
    path = stored.file_path(places.keys, entry.name)
    print(f"Stored the key of {entry.name} in {path}, for {' and '.join(entry.origins)}.")
    print("It is there in clear: only you can read the file, but so can all that runs as you, and every backup of it.")
    try:
        if system_keyring.remove(entry.name, places.home):
            print("Removed the one that was stored in the keyring before.")
    except NoKeyring:
        pass
    except CredentialFailed as error:
        # The keyring is asked first.
        say(f"an older key in the keyring would win over the file, and it could not be removed: {error.message}")


def _tell_daemon(places: Places) -> None:
    """A running daemon reads the key again for the next request."""
    running = client.verified(places)
    if running is None:
        return
    try:
        client.ask(places, running, "POST", "/_sidecar/forget", {"gateway": None})
    except SidecarError as error:
        say(f"the running sidecar may still use the old key: {error.message}", "sidecar restart")
