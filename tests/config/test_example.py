"""config.example.yaml is the defaults, names every key, and its example is a configuration."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.config.load import load, parsed
from sidecar.config.schema import (
    AuthForm,
    BudgetForm,
    CredentialForm,
    FileForm,
    GatewayForm,
    GatewayPricesForm,
    LedgerForm,
    LimitsForm,
    LogForm,
    PricesForm,
    RatesForm,
    SecretHeader,
    TimeoutsForm,
)
from sidecar.gateways.presets import presets
from sidecar.launch.places import Places

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
FORMS = (
    FileForm,
    GatewayForm,
    CredentialForm,
    SecretHeader,
    AuthForm,
    PricesForm,
    RatesForm,
    GatewayPricesForm,
    BudgetForm,
    TimeoutsForm,
    LimitsForm,
    LedgerForm,
    LogForm,
)


def example_block() -> str:
    text = EXAMPLE.read_text(encoding="utf-8").partition("a configuration of its own.\n")[2]
    assert text
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE)


def test_as_it_stands_it_equals_the_defaults(tmp_path):
    found = parsed(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE))
    assert replace(found, path=None) == load(Places(str(tmp_path), str(tmp_path)))


def test_its_example_loads_and_uses_what_it_explains(tmp_path):
    (tmp_path / "corp.pem").touch()
    found = parsed(example_block(), str(tmp_path / "config.yaml"))
    assert found.gateway == "vercel"
    assert {"vercel", "edgee", "router", "zai", "vercel-oidc", "corp", "lab"} <= set(found.gateways)
    assert found.gateways["edgee"].beside


@pytest.mark.parametrize("key", sorted({key for form in FORMS for key in form._fields}))
def test_every_key_is_named(key):
    assert re.search(rf"[ {{]{key}:", EXAMPLE.read_text(encoding="utf-8").replace("\n", " "))


def test_every_preset_is_named():
    text = EXAMPLE.read_text(encoding="utf-8")
    assert [name for name in presets() if not re.search(rf"\b{name}\b", text)] == []
