"""What the configuration file may say: every key, its default and what is judged of its value.

The forms hold what was written, nothing merged: `merge.py` puts a form over its preset.  Values are judged one by one, each
against what stands before it in its form, so that one fault never hides another.  `check.py` calls this and names the places.
"""

# The annotations are read at run time, so they stay values.  Thirteen NamedTuples are made in 1.5 ms, as many dataclasses in 10.
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from sidecar.budgets.budget import Limit
from sidecar.config import scalars
from sidecar.config.judges import NOTHING, Around, alone, both, form, list_of, mapping_of, text
from sidecar.gateways.presets import Preset, presets
from sidecar.launch.loopback import is_loopback
from sidecar.launch.names import did_you_mean

TEXT = text(scalars.not_empty, scalars.no_key)
NAME = text(scalars.plain_name)
TAG = text(scalars.tag)
PATH = text(scalars.path)
PROXY = text(scalars.proxy)
VARIABLE_NAME = text(scalars.variable_name)
HEADER_NAME = text(scalars.header_name)
BOOLEAN = alone(scalars.boolean)
DURATION = alone(scalars.duration)
PRICE = alone(scalars.price)


def _known(name: str, around: Around) -> str:
    if name not in around.known:
        named = "" if scalars.looks_like_a_key(name) else f" {name!r}{did_you_mean(name, around.known)}"
        raise ValueError(f"there is no gateway{named}; there are {', '.join(around.known)}")
    return name


KNOWN_GATEWAY = both(text(), _known)


class CredentialForm(NamedTuple):
    """`keyring`, `{keyring: NAME}`, `{file: PATH, key: NAME}`, `{env: NAME}` or `{command: [...], ttl: 10m}`."""

    keyring: Annotated[str | None, NAME] = None
    file: Annotated[str | None, TEXT] = None
    key: Annotated[str | None, NAME] = None
    env: Annotated[str | None, VARIABLE_NAME] = None
    command: Annotated[tuple[str, ...] | None, list_of(TEXT, may_be_empty=False)] = None
    ttl: Annotated[float | None, DURATION] = None


def _credential(value: Any, around: Around) -> CredentialForm:
    if value == "keyring":
        value = {"keyring": around.gateway}
    if isinstance(value, str):
        what = "this looks like a key" if scalars.looks_like_a_key(value) else "must be keyring or a mapping"
        raise ValueError(f"{what}; a key is never written here, type: sidecar login {around.gateway}")
    found: CredentialForm = form(CredentialForm)(value, around)
    named = value.keys() & {"keyring", "file", "env", "command"}
    if len(named) != 1:
        raise ValueError("must name one of keyring, file, env and command")
    if "key" in value and "file" not in named:
        raise ValueError("key belongs to file: the name of a line in a dotenv file")
    if "ttl" in value and "command" not in named:
        raise ValueError("ttl belongs to command")
    return found


class SecretHeader(NamedTuple):
    credential: Annotated[CredentialForm, _credential]


def _header(value: object, around: Around) -> Any:
    judge = form(SecretHeader) if isinstance(value, dict) else text(scalars.header_value)
    return judge(value, around)


class AuthForm(NamedTuple):
    header: Annotated[str, HEADER_NAME]
    scheme: Annotated[str, text(scalars.scheme)] = ""


def _preset_name(name: str, around: Around) -> str:
    """The preset's name, also where the gateway's own name says it; empty where there is none."""
    if not name:
        return around.gateway if around.gateway in presets() else ""
    if name not in presets():
        raise ValueError(f"there is no such preset; there are {', '.join(presets())}")
    return name


def _preset(around: Around) -> Preset | None:
    return presets().get(around.before.get("preset", ""))


def _base_url(url: str, around: Around) -> str:
    if not url:
        preset = _preset(around)
        if "preset" in around.before and not (preset and preset.base_url):
            raise ValueError("is needed: " + ("where it runs is yours to say" if preset else "no preset has this name"))
        return url
    url = scalars.url(url)
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not around.before.get("allow_plaintext", True):
        raise ValueError("http:// would send the key in clear: use https://, or say allow_plaintext: true")
    return url


def _has_header_of_its_own(beside: bool, around: Around) -> bool:
    if not beside or "preset" not in around.before or "auth" not in around.before:
        return beside
    auth, preset = around.before["auth"], _preset(around)
    if auth and auth.header.lower() in ("authorization", "x-api-key"):
        raise ValueError(f"the client's own credential may be in {auth.header}: name another header in auth")
    if not auth and not (preset and preset.beside):
        raise ValueError("this gateway has no header for a key beside the client's: name one in auth")
    return beside


def _once_each(headers: Mapping[str, Any], around: Around) -> Mapping[str, Any]:
    seen: set[str] = set()
    for name in headers:
        if name.lower() in seen:
            raise ValueError(f"{name} is given twice: case makes no difference")
        seen.add(name.lower())
    preset = _preset(around)
    auth = around.before.get("auth") or (preset and (preset.beside if around.before.get("beside") else preset.auth))
    if auth and auth.header.lower() in seen:
        raise ValueError(f"{auth.header} carries the gateway's key already")
    return headers


class GatewayForm(NamedTuple):
    # Those that others are judged against come first.
    allow_plaintext: Annotated[bool, BOOLEAN] = False
    preset: Annotated[str, both(text(), _preset_name)] = ""
    base_url: Annotated[str, both(text(), _base_url)] = ""
    auth: Annotated[AuthForm | None, form(AuthForm)] = None
    beside: Annotated[bool, both(BOOLEAN, _has_header_of_its_own)] = False
    credential: Annotated[CredentialForm | None, _credential] = None
    tags: Annotated[tuple[str, ...], list_of(TAG)] = ()
    headers: Annotated[Mapping[str, str | SecretHeader], both(mapping_of(HEADER_NAME, _header), _once_each)] = NOTHING
    paths: Annotated[Mapping[str, str], mapping_of(PATH, PATH)] = NOTHING
    models: Annotated[Mapping[str, str] | None, mapping_of(TEXT, TEXT)] = None
    only: Annotated[tuple[str, ...], list_of(PATH)] = ()
    agent_env: Annotated[Mapping[str, str], mapping_of(VARIABLE_NAME, text(scalars.literal))] = NOTHING
    proxy: Annotated[str | None, PROXY] = None
    ca_file: Annotated[str | None, TEXT] = None


def gateway(value: object, around: Around) -> Any:
    """What stands under a gateway's name, if anything.  Preset and URL are judged even where they are not written."""
    unwritten = {"preset": "", "base_url": ""}
    given = unwritten if value is None else {**unwritten, **value} if isinstance(value, dict) else value
    return form(GatewayForm)(given, around)


class BudgetForm(NamedTuple):
    per: Annotated[str, alone(scalars.one_of("day", "week", "month", "session"))]
    limit: Annotated[Limit, alone(scalars.limit)]
    gateway: Annotated[str | None, KNOWN_GATEWAY] = None
    tag: Annotated[str | None, TAG] = None


class RatesForm(NamedTuple):
    input: Annotated[Decimal, PRICE]
    output: Annotated[Decimal, PRICE]
    cache_read: Annotated[Decimal | None, PRICE] = None
    cache_write_5m: Annotated[Decimal | None, PRICE] = None
    cache_write_1h: Annotated[Decimal | None, PRICE] = None


class GatewayPricesForm(NamedTuple):
    discount: Annotated[Decimal, alone(scalars.share)]


class PricesForm(NamedTuple):
    models: Annotated[Mapping[str, RatesForm], mapping_of(TEXT, form(RatesForm))] = NOTHING
    gateways: Annotated[Mapping[str, GatewayPricesForm], mapping_of(KNOWN_GATEWAY, form(GatewayPricesForm))] = NOTHING

    def discount(self, gateway: str) -> Decimal:
        return self.gateways[gateway].discount if gateway in self.gateways else Decimal(0)


class TimeoutsForm(NamedTuple):
    connect: Annotated[float | None, DURATION] = 10.0
    first_byte: Annotated[float | None, DURATION] = None
    idle: Annotated[float | None, DURATION] = None
    drain: Annotated[float | None, DURATION] = 30.0


class LimitsForm(NamedTuple):
    body: Annotated[int, alone(scalars.size)] = 32 * 1024 * 1024


class LedgerForm(NamedTuple):
    keep: Annotated[float | None, DURATION] = 365 * 86400.0


class LogForm(NamedTuple):
    level: Annotated[str, alone(scalars.one_of("debug", "info", "warning", "error"))] = "info"


def _loopback(address: tuple[str, int], around: Around) -> tuple[str, int]:
    if not is_loopback(address[0]) and not around.before.get("allow_remote", True):
        raise ValueError("others could reach this address: listen on 127.0.0.1, or say allow_remote: true")
    return address


class FileForm(NamedTuple):
    """The whole file.  What stands under a gateway's name is judged apart, by `gateway`."""

    allow_remote: Annotated[bool, BOOLEAN] = False
    listen: Annotated[tuple[str, int] | None, both(alone(scalars.address), _loopback)] = None
    hosts: Annotated[tuple[str, ...], list_of(text(scalars.host_name))] = ()
    gateway: Annotated[str, KNOWN_GATEWAY] = "anthropic"
    tags: Annotated[tuple[str, ...], list_of(TAG)] = ()
    gateways: Annotated[Mapping[str, object], mapping_of(text(scalars.gateway_name), alone())] = NOTHING
    proxy: Annotated[str, PROXY] = "env"
    ca_file: Annotated[str | None, TEXT] = None
    prices: Annotated[PricesForm, form(PricesForm, sections=("models", "gateways"))] = PricesForm()
    budgets: Annotated[tuple[BudgetForm, ...], list_of(form(BudgetForm))] = ()
    timeouts: Annotated[TimeoutsForm, form(TimeoutsForm)] = TimeoutsForm()
    limits: Annotated[LimitsForm, form(LimitsForm)] = LimitsForm()
    ledger: Annotated[LedgerForm, form(LedgerForm)] = LedgerForm()
    log: Annotated[LogForm, form(LogForm)] = LogForm()


file = form(FileForm, sections=("gateways", "prices", "timeouts", "limits", "ledger", "log"))
