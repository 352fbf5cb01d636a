"""`prices:` in the configuration: what becomes of it, and how each fault in it is said."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sidecar.cli.setup.config import in_force
from sidecar.config.load import parsed
from sidecar.config.settings import Settings
from sidecar.errors import ConfigError
from sidecar.pricing.terms import ModelRates, Rates, Terms

TEXT = """\
gateways:
  corp: {base_url: https://llm.corp.example}
prices:
  models:
    house-small: {input: 0.1, output: 1}
    house-*: {input: 3, output: 15, cache_read: 0, cache_write_5m: 3.75}
  gateways:
    corp: {discount: 10%}
    openrouter: {discount: 7.5%}
"""
SMALL = ModelRates("house-small", Rates(Decimal("0.1"), Decimal(1), Decimal("0.1"), Decimal("0.1"), Decimal("0.1")))
OTHERS = ModelRates("house-*", Rates(Decimal(3), Decimal(15), Decimal(0), Decimal("3.75"), Decimal("3.75")))


def settings(text: str) -> Settings:
    return parsed(text, "/home/me/config.yaml")


def test_a_price_is_exact_and_what_is_not_given_costs_what_the_next_best_does():
    assert settings(TEXT).prices == (SMALL, OTHERS)


def test_every_gateway_has_the_models_and_its_own_discount():
    found = settings(TEXT)
    assert found.gateways["corp"].terms == Terms(None, Decimal("0.1"), (SMALL, OTHERS))
    assert found.gateways["openrouter"].terms == Terms("openrouter", Decimal("0.075"), (SMALL, OTHERS))
    assert found.gateways["anthropic"].terms == Terms("anthropic", Decimal(0), (SMALL, OTHERS))


def test_what_is_in_force_is_shown_in_the_words_of_the_file():
    shown = in_force(settings(TEXT))["prices"]
    assert shown["models"]["house-*"] == {"input": 3, "output": 15, "cache_read": 0, "cache_write_5m": 3.75, "cache_write_1h": 3.75}
    assert shown["gateways"] == {"corp": {"discount": "10%"}, "openrouter": {"discount": "7.5%"}}
    assert in_force(settings(""))["prices"] == {"models": {}, "gateways": {}}


@pytest.mark.parametrize("text", ["", "prices:\n", "prices: {}", "prices: {models: , gateways: }"])
def test_without_prices_the_table_holds(text):
    assert settings(text).prices == ()


@pytest.mark.parametrize(
    ("prices", "fault"),
    [
        ("{models: {m: {output: 1}}}", "1:19: prices.models.m.input: is missing"),
        ("{models: {m: {input: cheap, output: 1}}}", "1:30: prices.models.m.input: must be dollars per million tokens, like 0.5 or 15"),
        ("{models: {m: {input: -1, output: 1}}}", "1:30: prices.models.m.input: must be dollars per million tokens, like 0.5 or 15"),
        ("{models: {m: {input: .inf, output: 1}}}", "1:30: prices.models.m.input: must be dollars per million tokens, like 0.5 or 15"),
        ("{models: {m: {input: true, output: 1}}}", "1:30: prices.models.m.input: must be dollars per million tokens, like 0.5 or 15"),
        (
            "{models: {m: {input: 1, output: 1, cache_reads: 1}}}",
            "1:44: prices.models.m.cache_reads: this key is unknown; did you mean cache_read?",
        ),
        ("{models: [m]}", "1:18: prices.models: must be a mapping, like {key: value}"),
        ("{gateways: {anthropic: {discount: 0.1}}}", "1:43: prices.gateways.anthropic.discount: must be a share of the price, like 10% or 7.5%"),
        ("{gateways: {anthropic: {discount: 0%}}}", "1:43: prices.gateways.anthropic.discount: must be a share of the price, like 10% or 7.5%"),
        ("{gateways: {anthropic: {discount: 101%}}}", "1:43: prices.gateways.anthropic.discount: must be a share of the price, like 10% or 7.5%"),
        ("{gateways: {anthropic: {}}}", "1:21: prices.gateways.anthropic.discount: is missing"),
        ("{model: {}}", "1:10: prices.model: this key is unknown; did you mean models?"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(prices, fault):
    with pytest.raises(ConfigError) as caught:
        settings(f"prices: {prices}")
    assert [f"config.yaml:{fault}"] == list(caught.value.faults)


def test_a_discount_of_a_gateway_that_there_is_not_is_a_fault():
    with pytest.raises(ConfigError, match=r"config.yaml:1:21: prices.gateways.corp: there is no gateway 'corp'; there are anthropic"):
        settings("prices: {gateways: {corp: {discount: 10%}}}")
