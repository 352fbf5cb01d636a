"""The gateways' secrets in memory: looked up when they are needed, kept while they are good, forgotten on request.

The first source that has a secret wins.  What is not found is not remembered, so that storing a key helps the very next request.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from sidecar.credentials.sources import Reading, Sources
from sidecar.credentials.stored import NoKeyring
from sidecar.errors import CredentialFailed, NoCredential
from sidecar.gateways.gateway import Command, KeyFile, Keyring, Secret, SecretFile, Source, Variable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Variables a configuration may read that hold no secret: values to find in a log rather than to take out of it.
_PUBLIC = frozenset({"NO_PROXY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"})
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})

REMEMBERED_VALUES = 256


class Variables:
    """The variables of the shells that started the sidecar or an agent, as far as the configuration names them.  In memory only."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._secrets: frozenset[str] = frozenset()

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def update(self, mapping: Mapping[str, str], allowed: Collection[str]) -> bool:
        """Take over what is `allowed` and not empty; keep what another shell gave, unless it is no longer allowed.

        True if that has changed anything.
        """
        given = {name: value for name, value in mapping.items() if value}
        known = self._values | given
        before, self._values = self._values, {name: known[name] for name in allowed if name in known}
        self._secrets = frozenset(_secret_in(name.upper(), value) for name, value in self._values.items()) - {""}
        return self._values != before

    def secrets(self) -> frozenset[str]:
        """The values that must not be written down: all but paths and host lists; of a proxy's URL the password."""
        return self._secrets


def _secret_in(name: str, value: str) -> str:
    if name in _PUBLIC:
        return ""
    return _proxy_password(value) if name in _PROXIES else value


def _proxy_password(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:  # not a URL: who knows what it is
        return url


@dataclass(frozen=True, slots=True)
class Found:
    """Where a secret was found, in words for a person: `the keyring`, `keys/vercel`, `$AI_GATEWAY_API_KEY`."""

    where: str


class _Wanted(NamedTuple):
    """What is remembered under: the same sources for another origin are another question."""

    secret: Secret
    origin: str
    gateway: str


class Vault:
    """Used from one event loop.  `keys_dir` is the folder of the keys that `login --file` stores, `home` that of the keyring's entries."""

    def __init__(self, keys_dir: str, variables: Variables, home: str | None = None) -> None:
        self._sources = Sources(keys_dir, variables.get, home)
        self._variables = variables
        self._readings: dict[_Wanted, Reading] = {}
        self._looking: dict[_Wanted, asyncio.Future[Reading | None]] = {}
        self._handed_out: OrderedDict[str, None] = OrderedDict()
        self._remembered: frozenset[str] = frozenset()

    async def secret(self, secret: Secret, *, origin: str, gateway: str) -> str:
        """Raises `NoCredential` or `CredentialFailed`."""
        wanted = _Wanted(secret, origin, gateway)
        reading = self._readings.get(wanted)
        if reading is None or not reading.is_current():
            reading = await self._look(wanted)
        if reading is None:
            raise _not_found(wanted)
        return reading.value

    async def lookup(self, secret: Secret, *, origin: str, gateway: str) -> Found | None:
        """Looks afresh.  None when no source has it; raises as `secret` does when something is in the way."""
        wanted = _Wanted(secret, origin, gateway)
        self._drop(wanted)
        reading = await self._look(wanted)
        return None if reading is None else Found(reading.where)

    def forget(self, gateway: str | None = None) -> None:
        """Read again for the next request: the secrets of this gateway, or all.  A look-up under way serves only who waits for it."""
        for wanted in [*self._readings, *self._looking]:
            if gateway in (None, wanted.gateway):
                self._drop(wanted)

    def in_use(self) -> frozenset[str]:
        """Every secret that a log could come to hold: those handed out, also when since forgotten, and the variables'.  From any thread."""
        return self._remembered | self._variables.secrets()

    def _drop(self, wanted: _Wanted) -> None:
        self._readings.pop(wanted, None)
        self._looking.pop(wanted, None)

    async def _look(self, wanted: _Wanted) -> Reading | None:
        """One look-up for all who ask at the same time.  If the one who does it is cancelled, another takes over."""
        while (under_way := self._looking.get(wanted)) is not None:
            await asyncio.wait([under_way])
            if not under_way.cancelled():
                return under_way.result()
        answer: asyncio.Future[Reading | None] = asyncio.get_running_loop().create_future()
        self._looking[wanted] = answer
        try:
            reading = await self._read(wanted)
        except Exception as error:
            answer.set_exception(error)
            answer.exception()  # seen: perhaps nobody else has asked
            raise
        else:
            answer.set_result(reading)
            if reading is not None and self._looking.get(wanted) is answer:  # not forgotten meanwhile
                self._readings[wanted] = reading
            return reading
        finally:
            answer.cancel()  # without effect unless we are being cancelled
            if self._looking.get(wanted) is answer:
                del self._looking[wanted]
            del answer  # it holds the error's traceback, which holds this frame

    async def _read(self, wanted: _Wanted) -> Reading | None:
        trouble: CredentialFailed | None = None
        for source in wanted.secret.sources:
            try:
                reading = await self._sources.read(source, wanted.origin)
            except CredentialFailed as error:
                if not isinstance(source, Keyring):
                    raise
                trouble = error  # a later source may have the key
                continue
            if reading is not None:
                self._hand_out(reading.value)
                return reading
        if isinstance(trouble, NoKeyring):
            missing = _not_found(wanted)
            file = any(isinstance(source, KeyFile) for source in wanted.secret.sources)
            raise NoCredential(f"{missing.message}; {trouble.message}", f"{missing.hint} --file" if file else trouble.hint)
        if trouble is not None:
            raise trouble
        return None

    def _hand_out(self, value: str) -> None:
        self._handed_out[value] = None
        self._handed_out.move_to_end(value)
        held = {reading.value for reading in self._readings.values()}
        forgettable = [old for old in self._handed_out if old not in held and old != value]
        for old in forgettable[: max(len(self._handed_out) - REMEMBERED_VALUES, 0)]:
            del self._handed_out[old]
        self._remembered = frozenset(self._handed_out)


def _not_found(wanted: _Wanted) -> NoCredential:
    sources = wanted.secret.sources
    looked_in = [_place(source) for source in sources]
    places = " or ".join([", ".join(looked_in[:-1]), looked_in[-1]] if len(looked_in) > 1 else looked_in)
    return NoCredential(f"there is no key for the gateway {wanted.gateway!r} in {places}", _way_out(sources[0]))


def _place(source: Source) -> str:
    match source:
        case Keyring():
            return "the keyring"
        case KeyFile(name):
            return f"keys/{name}"
        case Variable(name):
            return f"${name}"
        case SecretFile(path, key):
            return path if key is None else f"{path} ({key})"
        case Command(argv):
            return f"what {argv[0]} prints"


def _way_out(source: Source) -> str:
    match source:
        case Keyring(name) | KeyFile(name):
            return f"sidecar login {name}"
        case Variable(name):
            return f"set {name} in your shell, and start the agent from there with sidecar run"
        case SecretFile(path):
            return f"write the key to {path}"
        case Command(argv):
            return f"see what {argv[0]} prints"
