"""The model id that goes out for the one that came in."""

from __future__ import annotations

import pytest

from sidecar.gateways.gateway import Auth, Gateway, ModelRule, Secret
from sidecar.gateways.models import sent_model


def gateway(form: str | None = None, **rules: str) -> Gateway:
    pairs = tuple(ModelRule(pattern, model) for pattern, model in rules.items())
    return Gateway("g", None, "https://g.example", Auth("x-api-key"), Secret(()), model_rules=pairs, model_form=form)


@pytest.mark.parametrize(
    ("requested", "sent"),
    [
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("claude-haiku-4-5-20251001", "anthropic/claude-haiku-4.5"),
        ("claude-opus-4-6", "anthropic/claude-opus-4.6"),
        ("claude-opus-4-20250514", "anthropic/claude-opus-4"),
        ("claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("claude-mythos-5-1", "anthropic/claude-mythos-5.1"),
        ("claude-3-5-haiku-20241022", "anthropic/claude-3.5-haiku"),
        ("claude-3-opus-20240229", "anthropic/claude-3-opus"),
        ("claude-3-7-sonnet", "anthropic/claude-3.7-sonnet"),
        ("claude-opus-4-8[1m]", "anthropic/claude-opus-4.8"),
        ("claude-opus-4-8[1M]", "anthropic/claude-opus-4.8"),
        ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("claude-sonnet-4.5", "claude-sonnet-4.5"),
        ("claude-sonnet-4-5-20250929\n", "claude-sonnet-4-5-20250929\n"),
        ("gpt-5", "gpt-5"),
        ("gpt-5[1m]", "gpt-5[1m]"),
        ("", ""),
    ],
)
def test_the_dotted_form_has_a_vendor_a_dot_and_no_date(requested, sent):
    assert sent_model(requested, gateway("dotted")) == sent


@pytest.mark.parametrize(
    ("requested", "sent"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929"),
        ("claude-3-5-haiku-20241022[1m]", "claude-3-5-haiku@20241022"),
        ("claude-opus-4-6", "claude-opus-4-6"),
        ("claude-opus-4-6[1m]", "claude-opus-4-6[1m]"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929"),
        ("gpt-4-20250101", "gpt-4-20250101"),
    ],
)
def test_the_date_form_puts_the_date_behind_an_at_sign(requested, sent):
    assert sent_model(requested, gateway("at_date")) == sent


def test_the_first_rule_that_matches_wins_and_comes_before_the_form():
    ours = gateway("dotted", **{"claude-haiku-4-5*": "house-small", "claude-haiku-*": "other", "claude-opus-4-6": "exact"})
    assert sent_model("claude-haiku-4-5-20251001", ours) == "house-small"
    assert sent_model("claude-haiku-5", ours) == "other"
    assert sent_model("claude-opus-4-6[1m]", ours) == "exact"
    assert sent_model("claude-opus-4-7", ours) == "anthropic/claude-opus-4.7"


def test_a_rule_written_with_1m_matches_with_and_without_it():
    assert sent_model("claude-opus-4-8", gateway(**{"claude-opus-4-8[1m]": "big"})) == "big"


def test_what_nothing_matches_passes_unchanged():
    assert sent_model("claude-sonnet-4-5-20250929[1m]", gateway()) == "claude-sonnet-4-5-20250929[1m]"
