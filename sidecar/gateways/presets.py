"""The known gateways, read once from `presets.yaml`.

A preset is what a gateway's documents say; what a user's file says about it is put over it in `config/merge.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from sidecar.errors import UsageError
from sidecar.gateways.gateway import Auth
from sidecar.launch.names import UnknownGateway

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

API_KEY = Auth("x-api-key")


@dataclass(frozen=True, slots=True)
class Preset:
    """One entry of `presets.yaml`, whose head explains the fields."""

    base_url: str | None = None
    auth: Auth = API_KEY
    variables: tuple[str, ...] = ()
    beside: Auth | None = None
    also_accepts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    model_form: Literal["dotted", "at_date"] | None = None
    agent_env: Mapping[str, str] = field(default_factory=dict)
    price_provider: str | None = None
    check: str | None = None


@cache
def presets() -> Mapping[str, Preset]:
    text = Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8")
    entries = yaml.load(text, Loader=Loader)  # noqa: S506 - safe with and without libyaml
    return {name: Preset(**{key: _value(key, value) for key, value in entry.items()}) for name, entry in entries.items()}


def _value(key: str, value: Any) -> Any:
    """The file is our own: tests say that it holds what the fields take."""
    match key:
        case "auth" | "beside":
            return Auth(**value)
        case "variables" | "also_accepts":
            return tuple(value)
        case _:
            return value


def unknown_gateway(name: str, known: Collection[str]) -> UsageError:
    """The error for a gateway that is not in `known`: a preset may be missing there because it has no default address."""
    if name in presets() and presets()[name].base_url is None:
        return UsageError(f"{name} has no default address", f"say where it runs: sidecar login {name} --base-url https://…")
    return UnknownGateway(name, known)


@cache
def credential_headers() -> frozenset[str]:
    """Every header, in lower case, in which some known gateway takes a key."""
    names = {"authorization", "x-api-key"}
    for preset in presets().values():
        names |= {preset.auth.header, *preset.also_accepts}
        if preset.beside:
            names.add(preset.beside.header)
    return frozenset(name.lower() for name in names)
