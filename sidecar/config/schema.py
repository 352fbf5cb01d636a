"""What the configuration file may say: every key, its default and what is judged of its value.

The forms hold what was written, nothing merged: `merge.py` puts a form over its preset.  Values are judged one by one, each
against what stands before it in its form, so that one fault never hides another.  `check.py` calls this and names the places.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sidecar.budgets import budget
from sidecar.config import scalars
from sidecar.gateways.presets import Preset, presets

Text = Annotated[str, AfterValidator(scalars.not_empty), AfterValidator(scalars.no_key)]
Literally = Annotated[str, AfterValidator(scalars.literal)]
TagText = Annotated[str, AfterValidator(scalars.tag)]
GatewayName = Annotated[str, AfterValidator(scalars.gateway_name)]
HeaderName = Annotated[str, AfterValidator(scalars.header_name)]
HeaderValue = Annotated[str, AfterValidator(scalars.header_value)]
VariableName = Annotated[str, AfterValidator(scalars.variable_name)]
HostName = Annotated[str, AfterValidator(scalars.host_name)]
UrlPath = Annotated[str, AfterValidator(scalars.path)]
Proxy = Annotated[str, AfterValidator(scalars.proxy)]
Duration = Annotated[float | None, BeforeValidator(scalars.duration)]
Size = Annotated[int, BeforeValidator(scalars.size)]
Limit = Annotated[budget.Limit, BeforeValidator(scalars.limit)]
Price = Annotated[Decimal, BeforeValidator(scalars.price)]
Share = Annotated[Decimal, BeforeValidator(scalars.share)]
Address = Annotated[tuple[str, int], BeforeValidator(scalars.address)]


@dataclass(frozen=True, slots=True)
class Around:
    """What a form is judged against: `gateway` is the name it stands under, `known` every gateway there is."""

    known: tuple[str, ...] = ()
    gateway: str = ""


def _known_gateway(value: str, info: ValidationInfo[Around]) -> str:
    if value not in info.context.known:
        named = "" if scalars.looks_like_a_key(value) else f" {value!r}"
        raise ValueError(f"there is no gateway{named}; there are {', '.join(info.context.known)}")
    return value


KnownGateway = Annotated[str, AfterValidator(_known_gateway)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    #: keys under which nothing at all may stand: all that is below them has defaults
    sections: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object, info: ValidationInfo[Around]) -> object:
        if value is None and info.field_name in cls.sections:
            return {}
        if value is None:
            raise ValueError("has no value: give it one, or take the line out")
        return value


class CredentialForm(_Form):
    """`keyring`, `{keyring: NAME}`, `{file: PATH, key: NAME}`, `{env: NAME}` or `{command: [...], ttl: 10m}`."""

    keyring: Text | None = None
    file: Text | None = None
    key: Text | None = None
    env: VariableName | None = None
    command: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    ttl: Duration = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object, info: ValidationInfo[Around]) -> object:
        if value == "keyring":
            return {"keyring": info.context.gateway}
        if isinstance(value, str):
            what = "this looks like a key" if scalars.looks_like_a_key(value) else "must be keyring or a mapping"
            raise ValueError(f"{what}; a key is never written here, type: sidecar login {info.context.gateway}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        named = self.model_fields_set & {"keyring", "file", "env", "command"}
        if len(named) != 1:
            raise ValueError("must name one of keyring, file, env and command")
        if "key" in self.model_fields_set and "file" not in named:
            raise ValueError("key belongs to file: the name of a line in a dotenv file")
        if "ttl" in self.model_fields_set and "command" not in named:
            raise ValueError("ttl belongs to command")
        return self


class SecretHeader(_Form):
    credential: CredentialForm


class AuthForm(_Form):
    header: HeaderName
    scheme: Annotated[str, AfterValidator(scalars.no_control)] = ""


#: what pydantic adds to the path of a fault in a header: the kind of value that it took it for
HEADER_KINDS = ("<text>", "<secret>")


def _kind_of_header(value: object) -> str:
    return HEADER_KINDS[isinstance(value, dict | SecretHeader)]


Header = Annotated[
    Annotated[HeaderValue, Tag(HEADER_KINDS[0])] | Annotated[SecretHeader, Tag(HEADER_KINDS[1])], Discriminator(_kind_of_header)
]


class GatewayForm(_Form):
    # Those that others are judged against come first.
    allow_plaintext: bool = False
    preset: str = Field(default="", validate_default=True)
    base_url: str = Field(default="", validate_default=True)
    auth: AuthForm | None = None
    beside: bool = False
    credential: CredentialForm | None = None
    tags: tuple[TagText, ...] = ()
    headers: Mapping[HeaderName, Header] = Field(default_factory=dict)
    paths: Mapping[UrlPath, UrlPath] = Field(default_factory=dict)
    models: Mapping[Text, Text] | None = None
    only: tuple[UrlPath, ...] = ()
    agent_env: Mapping[VariableName, Literally] = Field(default_factory=dict)
    proxy: Proxy | None = None
    ca_file: Text | None = None

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str, info: ValidationInfo[Around]) -> str:
        """The preset's name, also where the gateway's own name says it; empty where there is none."""
        if not value:
            return info.context.gateway if info.context.gateway in presets() else ""
        if value not in presets():
            raise ValueError(f"there is no such preset; there are {', '.join(presets())}")
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, value: str, info: ValidationInfo[Around]) -> str:
        if not value:
            preset = _preset(info)
            if "preset" in info.data and not (preset and preset.base_url):
                raise ValueError("is needed: " + ("where it runs is yours to say" if preset else "no preset has this name"))
            return value
        value = scalars.url(value)
        parts = urlsplit(value)
        if parts.scheme == "http" and not scalars.is_loopback(parts.hostname or "") and not info.data.get("allow_plaintext", True):
            raise ValueError("http:// would send the key in clear: use https://, or say allow_plaintext: true")
        return value

    @field_validator("beside")
    @classmethod
    def _has_header_of_its_own(cls, value: bool, info: ValidationInfo[Around]) -> bool:
        if not value or "preset" not in info.data or "auth" not in info.data:
            return value
        auth, preset = info.data["auth"], _preset(info)
        if auth and auth.header.lower() in ("authorization", "x-api-key"):
            raise ValueError(f"the client's own credential may be in {auth.header}: name another header in auth")
        if not auth and not (preset and preset.beside):
            raise ValueError("this gateway has no header for a key beside the client's: name one in auth")
        return value

    @field_validator("headers")
    @classmethod
    def _once_each(cls, value: Mapping[str, Any], info: ValidationInfo[Around]) -> Mapping[str, Any]:
        seen: set[str] = set()
        for name in value:
            if name.lower() in seen:
                raise ValueError(f"{name} is given twice: case makes no difference")
            seen.add(name.lower())
        preset = _preset(info)
        auth = info.data.get("auth") or (preset and (preset.beside if info.data.get("beside") else preset.auth))
        if auth and auth.header.lower() in seen:
            raise ValueError(f"{auth.header} carries the gateway's key already")
        return value


def _preset(info: ValidationInfo[Around]) -> Preset | None:
    return presets().get(info.data.get("preset", ""))


class BudgetForm(_Form):
    per: Literal["day", "week", "month", "session"]
    limit: Limit
    gateway: KnownGateway | None = None
    tag: TagText | None = None


class RatesForm(_Form):
    input: Price
    output: Price
    cache_read: Price | None = None
    cache_write_5m: Price | None = None
    cache_write_1h: Price | None = None


class GatewayPricesForm(_Form):
    discount: Share


class PricesForm(_Form):
    sections = frozenset(("models", "gateways"))

    models: Mapping[Text, RatesForm] = Field(default_factory=dict)
    gateways: Mapping[KnownGateway, GatewayPricesForm] = Field(default_factory=dict)

    def discount(self, gateway: str) -> Decimal:
        return self.gateways[gateway].discount if gateway in self.gateways else Decimal(0)


class TimeoutsForm(_Form):
    connect: Duration = 10.0
    first_byte: Duration = None
    idle: Duration = None
    drain: Duration = 30.0


class LimitsForm(_Form):
    body: Size = 32 * 1024 * 1024


class LedgerForm(_Form):
    keep: Duration = 365 * 86400.0


class LogForm(_Form):
    level: Literal["debug", "info", "warning", "error"] = "info"


class FileForm(_Form):
    """The whole file.  What stands under a gateway's name is checked apart, as a `GatewayForm`."""

    sections = frozenset(("gateways", "prices", "timeouts", "limits", "ledger", "log"))

    allow_remote: bool = False
    listen: Address | None = None
    hosts: tuple[HostName, ...] = ()
    gateway: KnownGateway = "anthropic"
    tags: tuple[TagText, ...] = ()
    gateways: Mapping[GatewayName, object] = Field(default_factory=dict)
    proxy: Proxy = "env"
    ca_file: Text | None = None
    prices: PricesForm = PricesForm()
    budgets: tuple[BudgetForm, ...] = ()
    timeouts: TimeoutsForm = TimeoutsForm()
    limits: LimitsForm = LimitsForm()
    ledger: LedgerForm = LedgerForm()
    log: LogForm = LogForm()

    @field_validator("listen")
    @classmethod
    def _loopback(cls, value: tuple[str, int], info: ValidationInfo[Around]) -> tuple[str, int]:
        if not scalars.is_loopback(value[0]) and not info.data.get("allow_remote", True):
            raise ValueError("others could reach this address: listen on 127.0.0.1, or say allow_remote: true")
        return value
