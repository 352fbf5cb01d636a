"""What `doctor` finds about keyring and gateways: whether each key is there, and whether anybody answers at each address.

Only gateways that the user has to do with are examined: the active one, and each that is configured, has a key, is named by a wrapper,
or has just failed.  One that was never used is nothing to complain about, and gets no connection.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidecar.cli.setup.gateways import look_up
from sidecar.cli.setup.wrapper import wrappers
from sidecar.config.schema import FileForm
from sidecar.credentials import system_keyring
from sidecar.errors import SidecarError
from sidecar.gateways.gateway import KeyFile, Keyring
from sidecar.launch import troubles
from sidecar.launch.loopback import is_loopback
from sidecar.proxy.dial import dial, endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidecar.cli.setup.gateways import Key
    from sidecar.config.settings import Settings
    from sidecar.gateways.gateway import Gateway
    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places

CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is ok, warning or failure; `hint` says what to type."""

    level: str
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Examined:
    """One gateway.  `is_used`: what is wrong with it is a failure, since somebody relies on it; else it is a warning."""

    gateway: Gateway
    key: Key
    is_used: bool
    is_configured: bool

    @property
    def is_reached(self) -> bool:
        """False for the gateway that is active only because nothing else was chosen."""
        return self.is_used or self.is_configured or self.key.key

    @property
    def level(self) -> str:
        return "failure" if self.is_used else "warning"


def gateway_findings(places: Places, settings: Settings, state: State | None) -> Iterator[Finding]:
    names = list(settings.gateways)
    keys = dict(zip(names, look_up(places, settings, state, names), strict=True))
    wrapped = dict(wrappers(os.environ, places.config_file))
    keyring = _keyring(keys)
    yield keyring
    for path, name in wrapped.items():
        if name not in settings.gateways:
            yield Finding("warning", f"{path} starts an agent through {name}, and there is no such gateway", f"rm {path}")
    examined = list(_chosen(settings, keys, set(wrapped.values())))
    reached = asyncio.run(_reach([each.gateway for each in examined if each.is_reached]))
    for each in examined:
        yield _key(settings, each, keys, can_store=keyring.level == "ok")
        if not each.is_reached:
            continue
        yield _reached(each, reached[each.gateway.name])
        if each.gateway.base_url.startswith("http:") and not is_loopback(urlsplit(each.gateway.base_url).hostname or ""):
            address = each.gateway.base_url
            yield Finding("warning", f"gateway {each.gateway.name!r} is reached over plain http, {address}: its key can be read on the way")


def _keyring(keys: Mapping[str, Key]) -> Finding:
    """Whether there is a keyring is asked here; whether it is locked shows where keys are looked for in it."""
    try:
        name = system_keyring.check()
    except SidecarError as error:
        return Finding("warning", f"keyring: {error.message}", f"sidecar login GATEWAY --file keeps a key in a file; or {error.hint}")
    if any(key.state == "locked" for key in keys.values()):
        return Finding("warning", f"keyring: {name} is locked", system_keyring.UNLOCK)
    return Finding("ok", f"keyring: {name}")


def _chosen(settings: Settings, keys: Mapping[str, Key], wrapped: set[str]) -> Iterator[_Examined]:
    for name, gateway in settings.gateways.items():
        key, is_active = keys[name], name == settings.gateway
        # A variable may be there for another program; a stored key was stored for this one.
        is_stored = key.key and not (key.where or "").startswith("$")
        is_chosen = is_active and (key.key or name != FileForm().gateway)
        is_used = name in wrapped or is_stored or is_chosen or key.trouble is not None
        examined = _Examined(gateway, key, is_used, name in settings.configured)
        if examined.is_reached or is_active:
            yield examined


def _key(settings: Settings, each: _Examined, keys: Mapping[str, Key], *, can_store: bool) -> Finding:
    name, key = each.gateway.name, each.key
    if key.trouble is not None and key.trouble["kind"] == "refused":
        return Finding("failure", troubles.words(key.trouble))
    if key.key:
        return Finding("ok", f"gateway {name!r}: its key comes from {key.where}")
    if key.state == "locked":
        return Finding(each.level, f"gateway {name!r}: its key may be in the keyring, which is locked")
    if key.state != "none":
        return Finding(each.level, f"gateway {name!r}: {key.error}")
    return _no_key(settings, each, keys, "" if can_store else " --file")


def _no_key(settings: Settings, each: _Examined, keys: Mapping[str, Key], option: str) -> Finding:
    """`option` is what `login` needs where there is no keyring."""
    name, sources = each.gateway.name, each.gateway.credential.sources
    with_keys = [other for other, found in keys.items() if found.key]
    if not each.is_reached and with_keys:
        return Finding(
            "warning", f"the active gateway, {name}, has no key; there is one for {', '.join(with_keys)}", f"sidecar use {with_keys[0]}"
        )
    if not each.is_reached:
        return Finding("warning", "no gateway has a key yet", f"sidecar login GATEWAY{option}; sidecar gateways lists them")
    if not any(isinstance(source, Keyring | KeyFile) for source in sources):
        hint = f"see its credential in {settings.path}"
    else:
        hint = f"sidecar login {name}" + (option if any(isinstance(source, KeyFile) for source in sources) else "")
    return Finding(each.level, f"gateway {name!r}: there is no key for it", hint)


def _reached(each: _Examined, answer: str | SidecarError) -> Finding:
    name, address = each.gateway.name, each.gateway.base_url
    if isinstance(answer, SidecarError):
        return Finding(each.level, f"gateway {name!r}: {answer.message}", answer.hint)
    return Finding("ok", f"gateway {name!r}: {address} answers{answer}")


async def _reach(gateways: Sequence[Gateway]) -> dict[str, str | SidecarError]:
    """By name: the way there in words, or what is in the way."""
    answers = await asyncio.gather(*map(_connect, gateways))
    return {gateway.name: answer for gateway, answer in zip(gateways, answers, strict=True)}


async def _connect(gateway: Gateway) -> str | SidecarError:
    """One connection, TLS included, and no request."""
    try:
        place = endpoint(gateway, os.environ.get)
        connection = await dial(place, CONNECT_SECONDS)
    except SidecarError as error:
        return error
    connection.close()
    await asyncio.sleep(0)
    return f" through the proxy {place.proxy[0]}:{place.proxy[1]}" if place.proxy else ""
