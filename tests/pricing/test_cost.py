from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sidecar.metering.reading import Usage
from sidecar.pricing.cost import TABLE, Cost, cost

THEN = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("usage", "nanousd"),
    [
        (Usage(input=10, output=7), 10 * 3000 + 7 * 15000),
        (
            Usage(input=10, output=7, cache_read=5000, cache_write_5m=100, cache_write_1h=200),
            30_000 + 5000 * 300 + 100 * 3750 + 200 * 6000 + 7 * 15000,
        ),
        (Usage(input=0, output=0, cache_write_1h=100_000), 100_000 * 6000),
        (Usage(input=0, output=0, cache_write_5m=100_000), 100_000 * 3750),
        (Usage(input=0, output=0, cache_read=1), 300),
        (Usage(input=0, output=0), 0),
        # Thinking is a part of the output.
        (Usage(input=10, output=7, thinking=5), 10 * 3000 + 7 * 15000),
        # More than 200,000 tokens in, cached ones included: the upper rates for all of them.
        (Usage(input=1_000, output=1, cache_read=200_000), 1_000 * 6000 + 200_000 * 600 + 22_500),
    ],
)
def test_parts_are_priced_each_at_its_own_rate(usage, nanousd):
    assert cost(usage, "claude-sonnet-4-5-20250929", "anthropic", THEN) == Cost(nanousd, f"{TABLE} anthropic/claude-sonnet-4-5")


def test_the_provider_decides_how_a_name_is_read():
    assert cost(Usage(input=1, output=0), "anthropic/claude-sonnet-4.5", "openrouter", THEN).nanousd == 3000
    assert cost(Usage(input=1, output=0), "claude-haiku-4-5", None, THEN).nanousd == 1000


@pytest.mark.parametrize(
    ("usage", "model", "provider", "why"),
    [
        (Usage(), "claude-sonnet-4-5", "anthropic", "no usage reported"),
        (Usage(input=5), "claude-sonnet-4-5", "anthropic", "no usage reported"),
        (Usage(input=5, output=5), None, "anthropic", "no model known"),
        (Usage(input=5, output=5), "house-small", None, f"{TABLE} has no price for 'house-small'"),
        (Usage(input=5, output=5), "house-small", "anthropic", f"{TABLE} has no price for 'house-small' at anthropic"),
        (Usage(input=5, output=5), "claude-sonnet-4-5", "nobody", f"{TABLE} has no price for 'claude-sonnet-4-5' at nobody"),
    ],
)
def test_what_has_no_price_is_unknown_and_says_why(usage, model, provider, why):
    assert cost(usage, model, provider, THEN) == Cost(None, why)


@pytest.mark.parametrize(("tokens", "nanousd"), [(1, 38), (2, 75), (3, 112), (5, 188), (1001, 37_538)])
def test_half_a_nano_dollar_is_rounded_once_to_the_even_side(tokens, nanousd):
    # 0.0375 dollars a million: 37.5 nano-dollars a token.
    assert cost(Usage(input=tokens, output=0), "command-r7b", "cohere", THEN).nanousd == nanousd
