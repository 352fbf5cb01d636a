"""`sidecar login` and `logout`: a gateway's key is checked, goes into the keyring, or with --file into a file, and out again.

The key comes from a terminal without echo or from stdin, never from the command line, where other processes could read it.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.cli.setup.gateways import list_gateways, vault_here
from sidecar.config import scalars
from sidecar.config.edit import with_entry
from sidecar.config.load import load, parsed, read
from sidecar.config.save import save
from sidecar.credentials import stored, system_keyring
from sidecar.credentials.stored import NoKeyring, Stored
from sidecar.errors import ConfigError, CredentialFailed, SidecarError, UsageError
from sidecar.gateways.gateway import Gateway, KeyFile, Keyring, Secret, Source
from sidecar.gateways.presets import presets, unknown_gateway
from sidecar.launch import client, passes
from sidecar.launch.surroundings import note, say

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
        return any(KeyFile(self.name) in sources(gateway) for gateway in self.gateways)


def login(args: argparse.Namespace) -> int:
    if args.gateway is None:
        return _which(args.places)
    added = None if args.base_url is None else _with_base_url(args.places, args.gateway, args.base_url)
    settings = load(args.places) if added is None else parsed(added, args.places.config_file)
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
    if _wants_check(args, entry):
        _check(args, settings, entry, key)
    if added is not None:
        save(args.places.config_file, added)
        print(f"Wrote {args.gateway} into {args.places.config_file}.")
    if args.file:
        _store_in_file(args.places, entry, key)
    else:
        _store_in_keyring(args.places, entry, key)
    _tell_daemon(args.places)
    print(f"Next: sidecar run -g {entry.gateways[0].name} -- claude")
    return 0


def _which(places: Places) -> int:
    """`sidecar login` without a gateway: show which there are."""
    list_gateways(places, settings := load(places))
    note("which gateway is the key for? sidecar login GATEWAY")
    for name, preset in presets().items():
        if preset.base_url is None and name not in settings.gateways:
            note(f"{name} runs at an address of your own: sidecar login {name} --base-url https://…")
    return UsageError.exit_code


def _with_base_url(places: Places, name: str, base_url: str) -> str | None:
    """The configuration's text with a gateway `name` at `base_url`; None if it has that already.  Raises `UsageError`."""
    path = places.config_file
    if name not in presets():
        raise UsageError(
            f"there is no preset {name!r}, and --base-url says only where one runs", "sidecar config edit, and write a gateway of your own"
        )
    settings = load(places)
    if name in settings.configured:
        if settings.gateways[name].base_url == base_url.rstrip("/"):
            return None
        raise UsageError(f"{path} has {name} at {settings.gateways[name].base_url} already", "change it there: sidecar config edit")
    try:
        text = read(path)
    except FileNotFoundError:
        text = ""
    try:
        edited = with_entry(text, name, scalars.url(base_url))
        parsed(edited, path)
    except ValueError as error:
        raise UsageError(f"--base-url {error}", f"like: sidecar login {name} --base-url https://llm.example.com") from None
    except ConfigError as error:
        # The place is one in a text that nobody has.
        why = error.faults[0].partition(f"gateways.{name}.base_url: ")[2] or error.message
        raise UsageError(f"--base-url {why}", f"like: sidecar login {name} --base-url https://llm.example.com") from None
    return edited


def _wants_check(args: argparse.Namespace, entry: _Entry) -> bool:
    """Asks a person; who pipes a key in, or does without the question, says it with --check or --no-check."""
    gateway = entry.gateways[0]
    if args.check is not None:
        return bool(args.check)
    if gateway.beside or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"Check it with {gateway.origin} now, by a request that costs nothing? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def _check(args: argparse.Namespace, settings: Settings, entry: _Entry, key: str) -> None:
    """Raises `CredentialFailed` if the gateway refuses the key.  Whatever else is in the way is only said."""
    from sidecar.proxy import key_check  # noqa: PLC0415 - nothing else here talks to gateways

    gateway = entry.gateways[0]
    if gateway.beside:
        say(f"{gateway.name} takes its key beside the client's own login, so the key alone cannot be checked")
        return
    try:
        status = asyncio.run(_answer(args.places, settings, entry, key))
    except TimeoutError:
        say(f"the key could not be checked: {gateway.name} did not answer within {key_check.SECONDS:g} s")
        return
    except SidecarError as error:
        say(f"the key could not be checked: {error.message}", error.hint)
        return
    match key_check.verdict(status):
        case key_check.Verdict.TAKEN:
            print(f"{gateway.name} takes the key.")
        case key_check.Verdict.REFUSED:
            again = [args.gateway, *(("--base-url", args.base_url) if args.base_url else ()), *(("--file",) if args.file else ())]
            hint = f"copy it again, in one piece; or store it all the same: sidecar login {' '.join(again)} --no-check"
            raise CredentialFailed(f"{gateway.name} refused the key ({status}), so it was not stored", hint)
        case key_check.Verdict.UNCLEAR:
            say(f"{gateway.name} answered {status}, which does not tell whether it takes the key")


async def _answer(places: Places, settings: Settings, entry: _Entry, key: str) -> int:
    """The status that the gateway answers a free request with, `key` in the place where this entry's key goes."""
    from sidecar.proxy import key_check  # noqa: PLC0415 - nothing else here talks to gateways

    gateway = entry.gateways[0]
    vault = vault_here(places, settings)

    async def value(secret: Secret) -> str:
        if {Keyring(entry.name), KeyFile(entry.name)} & set(secret.sources):
            return key
        return await vault.secret(secret, origin=gateway.origin, gateway=gateway.name)

    secrets = {name: await value(secret) for name, secret in gateway.headers if isinstance(secret, Secret)}
    return await key_check.ask(gateway, await value(gateway.credential), secrets, os.environ.get)


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
    users = [each for each in settings.gateways.values() if Keyring(entry) in sources(each)]
    if users:
        users.sort(key=lambda each: each.name != name)  # the one that was named comes first
        return _Entry(entry, tuple(users))
    if gateway is not None:
        raise UsageError(
            f"the gateway {name!r} does not take its key from the keyring: {settings.path} names another source",
            "provide the key there, or remove the gateway's `credential`",
        )
    raise unknown_gateway(name, settings.gateways)


def sources(gateway: Gateway) -> Iterator[Source]:
    """Where the gateway's key and the secrets of its own header fields come from."""
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
