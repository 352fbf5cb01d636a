"""The known gateways, read once from `presets.yaml`.

A preset is what a gateway's documents say; what a user's file says about it is put over it in `config/merge.py`.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter

from sidecar.gateways.gateway import Auth

Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

API_KEY = Auth("x-api-key")


@dataclass(frozen=True, slots=True)
class Preset:
    """One entry of `presets.yaml`, whose head explains the fields."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

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


@cache
def presets() -> Mapping[str, Preset]:
    text = Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Preset]).validate_python(yaml.load(text, Loader=Loader))  # noqa: S506 - safe with and without libyaml


@cache
def credential_headers() -> frozenset[str]:
    """Every header, in lower case, in which some known gateway takes a key."""
    names = {"authorization", "x-api-key"}
    for preset in presets().values():
        names |= {preset.auth.header, *preset.also_accepts}
        if preset.beside:
            names.add(preset.beside.header)
    return frozenset(name.lower() for name in names)
