"""`gateways`: every gateway there is, where its key comes from and whether it is there.  Never the key."""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from sidecar.config.load import load
from sidecar.errors import CredentialFailed, NoCredential, SidecarError
from sidecar.gateways.gateway import KeyFile, Keyring
from sidecar.launch import client, troubles
from sidecar.launch.surroundings import note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from sidecar.config.settings import Settings
    from sidecar.credentials.vault import Vault
    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places


@dataclass(frozen=True, slots=True)
class Key:
    """Whether a gateway's key is there, `where` it was found, and what was in the way of looking.

    `state` is there, none, bound_elsewhere, locked or failed; `trouble` what the running sidecar last met with this gateway.
    """

    key: bool
    where: str | None = None
    error: str | None = None
    state: str = "none"
    trouble: Mapping[str, object] | None = None

    @property
    def words(self) -> str:
        """One word or two for a table."""
        return self.where or _STATES.get(self.state, "none")


_STATES = {"bound_elsewhere": "bound to another address", "locked": "keyring locked", "failed": "cannot be read"}


def gateways(args: Namespace) -> int:
    return list_gateways(args.places, load(args.places), as_json=args.json)


def list_gateways(places: Places, settings: Settings, *, as_json: bool = False) -> int:
    names = tuple(settings.gateways)
    keys = dict(zip(names, look_up(places, settings, client.verified(places), names), strict=True))
    if as_json:
        print(
            json.dumps({"active": settings.gateway, "gateways": [_row(settings, name, keys[name]) for name in names]}, ensure_ascii=False)
        )
        return 0
    from sidecar.cli.reports.tables import print_table  # noqa: PLC0415 - rich, which `use` does not need

    print_table(
        ("", "gateway", "preset", "base URL", "key"),
        [
            ("*" if name == settings.gateway else "", name, gateway.preset or "", gateway.base_url, keys[name].words)
            for name, gateway in settings.gateways.items()
        ],
    )
    if not (active := keys[settings.gateway]).key:
        note(missing(settings, settings.gateway, active))
    for key in keys.values():
        if key.trouble is not None:
            note(troubles.words(key.trouble))
    return 0


def missing(settings: Settings, name: str, key: Key) -> str:
    """Why there is no key, or what to do about it."""
    is_stored = any(isinstance(source, Keyring | KeyFile) for source in settings.gateways[name].credential.sources)
    way_out = f"sidecar login {name}" if is_stored else f"see its credential in {settings.path}"
    return key.error or f"there is no key for {name}: {way_out}"


def look_up(places: Places, settings: Settings, state: State | None, names: Sequence[str]) -> list[Key]:
    """Asks the running sidecar, which has the variables of the shell it was started from; looks itself when none runs."""
    if state is None:
        return asyncio.run(_look_here(places, settings, names))
    # One at a time, a locked keyring would take its five seconds for each.
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: _ask(places, state, name), names))


def _ask(places: Places, state: State, name: str) -> Key:
    try:
        answer = client.ask(places, state, "GET", f"/_sidecar/credential?gateway={quote(name)}")
    except SidecarError as refusal:
        return Key(key=False, error=refusal.message)
    where, error, trouble = answer.get("where"), answer.get("error"), answer.get("trouble")
    key_state = str(answer.get("state", "there" if answer.get("key") is True else "none"))
    return Key(
        answer.get("key") is True,
        str(where) if where else None,
        str(error) if error else None,
        key_state,
        trouble if isinstance(trouble, dict) else None,
    )


def vault_here(places: Places, settings: Settings) -> Vault:
    """Keys as this shell has them, without the daemon."""
    from sidecar.credentials.vault import Variables, Vault  # noqa: PLC0415 - the keyring is not needed while a sidecar runs

    variables = Variables()
    variables.update(os.environ, settings.variables)
    return Vault(places.keys, variables, places.home)


async def _look_here(places: Places, settings: Settings, names: Sequence[str]) -> list[Key]:
    vault = vault_here(places, settings)

    async def look(name: str) -> Key:
        gateway = settings.gateways[name]
        try:
            found = await vault.lookup(gateway.credential, origin=gateway.origin, gateway=name)
        except (NoCredential, CredentialFailed) as error:
            return Key(key=False, error=str(error), state=error.state)
        return Key(key=True, where=found.where, state="there") if found else Key(key=False)

    return await asyncio.gather(*(look(name) for name in names))


def _row(settings: Settings, name: str, key: Key) -> dict[str, object]:
    gateway = settings.gateways[name]
    return {
        "name": name,
        "preset": gateway.preset,
        "base_url": gateway.base_url,
        "beside": gateway.beside,
        "active": name == settings.gateway,
        **asdict(key),
    }
