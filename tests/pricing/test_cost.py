"""Prices worked out by hand: nano-dollars a token are dollars a million tokens times a thousand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import Tier, TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from sidecar.metering.reading import Usage
from sidecar.pricing import settled
from sidecar.pricing.bill import Billed, Cost
from sidecar.pricing.cost import cost
from sidecar.pricing.table import NAME
from sidecar.pricing.terms import ModelRates, Rates, Terms

THEN = datetime(2026, 11, 21, tzinfo=UTC)
ANTHROPIC = Terms("anthropic")
SOME = Usage(input=1000, output=100, cache_read=10_000, cache_write_5m=200, cache_write_1h=300)


def billed(usage: Usage, model: str | None = "claude-sonnet-4-5-20250929", at: datetime = THEN, **more) -> Billed:
    return Billed(usage, model, at, **more)


def nanousd(usage: Usage, model: str, terms: Terms = Terms(), **more) -> int | None:  # noqa: B008 -- a frozen value
    return cost(billed(usage, model, **more), terms).nanousd


@pytest.mark.parametrize(
    ("usage", "expected"),
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
        # Up to 200,000 tokens in, and more, cached ones included: the upper rates for all of them.
        (Usage(input=0, output=1, cache_read=200_000), 200_000 * 300 + 15_000),
        (Usage(input=1_000, output=1, cache_read=200_000), 1_000 * 6000 + 200_000 * 600 + 22_500),
        (Usage(input=1, output=0, cache_write_5m=100_000, cache_write_1h=100_000), 6000 + 100_000 * 7500 + 100_000 * 12_000),
        # Ten dollars a thousand searches, beside the tokens; fetches are free.
        (Usage(input=10, output=7, web_search_requests=3, web_fetch_requests=9), 135_000 + 3 * 10_000_000),
    ],
)
def test_parts_are_priced_each_at_its_own_rate(usage, expected):
    assert cost(billed(usage), ANTHROPIC) == Cost(expected, f"{NAME} anthropic/claude-sonnet-4-5")


#: Dollars a million tokens: fresh, read, written for five minutes and for an hour, out.
LIST = {
    "claude-fable-5": (10, 1, 12.5, 20, 50),
    "claude-fable-5-1": (10, 0.25, 12.5, 20, 50),
    "claude-mythos-5": (10, 1, 12.5, 20, 50),
    "claude-mythos-5-1": (10, 0.25, 12.5, 20, 50),
    "claude-opus-5": (5, 0.5, 6.25, 10, 25),
    "claude-opus-4-8": (5, 0.5, 6.25, 10, 25),
    "claude-opus-4-7": (5, 0.5, 6.25, 10, 25),
    "claude-opus-4-6": (5, 0.5, 6.25, 10, 25),
    "claude-opus-4-5-20251101": (5, 0.5, 6.25, 10, 25),
    "claude-opus-4-1-20250805": (15, 1.5, 18.75, 30, 75),
    "claude-opus-4-20250514": (15, 1.5, 18.75, 30, 75),
    "claude-sonnet-4-6": (3, 0.3, 3.75, 6, 15),
    "claude-sonnet-4-5-20250929": (3, 0.3, 3.75, 6, 15),
    "claude-sonnet-4-20250514": (3, 0.3, 3.75, 6, 15),
    "claude-haiku-4-5-20251001": (1, 0.1, 1.25, 2, 5),
    "claude-3-5-haiku-20241022": (0.8, 0.08, 1, 1.6, 4),
    "claude-3-haiku-20240307": (0.25, 0.03, 0.3, 0.5, 1.25),
}


def by_hand(model: str, times: float = 1) -> int:
    fresh, read, short, long, out = LIST[model]
    tokens = 1000 * fresh + 10_000 * read + 200 * short + 300 * long + 100 * out
    return round(tokens * 1000 * times)


@pytest.mark.parametrize("model", LIST)
@pytest.mark.parametrize("terms", [ANTHROPIC, Terms(), Terms("openrouter")])
def test_the_list_prices_hold_at_every_gateway_that_passes_them_on(model, terms):
    assert nanousd(SOME, model, terms) == by_hand(model)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("anthropic/claude-sonnet-4.5", None),
        ("anthropic/claude-4.5-sonnet-20250929", "openrouter"),
        ("openrouter/anthropic/claude-sonnet-4.5", None),
        ("claude-sonnet-4-5@20250929", None),
        ("claude-sonnet-4-5-20250929[1m]", "anthropic"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
        ("databricks-claude-sonnet-4-5", None),
    ],
)
def test_a_name_of_a_gateways_own_costs_the_same(model, provider):
    assert nanousd(SOME, model, Terms(provider)) == by_hand("claude-sonnet-4-5-20250929")


@pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-sonnet-4-6", "claude-opus-4-6"])
def test_the_whole_window_costs_the_same_since_4_6(model):
    fresh, _, _, _, out = LIST[model]
    assert nanousd(Usage(input=900_000, output=10), model) == (900_000 * fresh + 10 * out) * 1000


@pytest.mark.parametrize(("model", "times"), [("claude-opus-4-6", 6), ("claude-opus-4-7", 6), ("claude-opus-4-8", 2), ("claude-opus-5", 2)])
def test_fast_mode_multiplies_every_rate(model, times):
    found = cost(billed(SOME, model, speed="fast"), ANTHROPIC)
    assert found == Cost(by_hand(model, times), f"{NAME} anthropic/{model}, fast")
    assert nanousd(SOME, model, speed="standard") == by_hand(model)


def test_a_name_can_say_fast_or_batch_too():
    assert nanousd(SOME, "anthropic/claude-opus-4.8-fast", Terms("openrouter")) == by_hand("claude-opus-4-8", 2)
    assert nanousd(SOME, "anthropic/claude-opus-4.8-fast", Terms("openrouter"), speed="fast") == by_hand("claude-opus-4-8", 2)
    assert nanousd(SOME, "anthropic/claude-opus-4.5:batch", Terms("openrouter")) == by_hand("claude-opus-4-5-20251101", 0.5)


def test_fast_mode_of_a_model_that_has_none_is_unknown():
    found = cost(billed(SOME, speed="fast"), ANTHROPIC)
    assert found == Cost(None, f"{NAME} has no price for the fast mode of 'claude-sonnet-4-5-20250929'")


@pytest.mark.parametrize("at", [THEN, datetime(2026, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-sonnet-4-5-20250929", "claude-opus-4-1-20250805"])
def test_batch_halves_every_rate(model, at):
    assert nanousd(SOME, model, service_tier="batch", at=at) == by_hand(model, 0.5)


@pytest.mark.parametrize("tier", ["standard", "priority", "whatever"])
def test_other_tiers_of_anthropics_cost_what_the_list_says(tier):
    assert nanousd(SOME, "claude-opus-4-8", service_tier=tier) == by_hand("claude-opus-4-8")


@pytest.mark.parametrize(
    ("model", "geo", "times"),
    [
        ("claude-opus-4-6", "us", 1.1),
        ("anthropic/claude-opus-5", "us", 1.1),
        ("claude-opus-4-6", "global", 1),
        ("claude-opus-4-6", "not_available", 1),
        ("claude-opus-4-5-20251101", "us", 1),
        ("claude-3-5-haiku-20241022", "us", 1),
    ],
)
def test_data_residency_costs_a_tenth_more_where_it_can_be_bought(model, geo, times):
    listed = model.removeprefix("anthropic/")
    assert nanousd(SOME, model, inference_geo=geo) == by_hand(listed, times)


def test_modifiers_stack_and_searches_stay_what_they_are():
    usage = Usage(input=1000, output=100, cache_read=10_000, cache_write_5m=200, cache_write_1h=300, web_search_requests=2)
    found = cost(billed(usage, "claude-opus-4-8", speed="fast", inference_geo="us"), ANTHROPIC)
    assert found == Cost(by_hand("claude-opus-4-8", 2.2) + 20_000_000, f"{NAME} anthropic/claude-opus-4-8, fast, us only")
    assert nanousd(usage, "claude-opus-4-8", service_tier="batch", inference_geo="us") == by_hand("claude-opus-4-8", 0.55) + 20_000_000


def iterations(*entries: dict[str, object]) -> str:
    return json.dumps(entries)


def test_iterations_are_billed_beside_the_top_level_each_at_its_own_model():
    beside = iterations(
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 900, "output_tokens": 80},
        {"type": "compaction", "input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 10}},
    )
    expected = 10 * 3000 + 7 * 15_000 + 180_000 * 3000 + 3500 * 15_000 + 900 * 5000 + 80 * 25_000 + 3000 + 10 * 6000
    assert nanousd(Usage(input=10, output=7), "claude-sonnet-4-6", iterations=beside) == expected


def test_an_advisor_is_not_as_fast_as_whom_it_advises():
    beside = iterations({"type": "advisor_message", "model": "claude-opus-5", "input_tokens": 100, "output_tokens": 0})
    assert nanousd(Usage(input=10, output=0), "claude-opus-4-6", speed="fast", iterations=beside) == 10 * 30_000 + 100 * 5000


def test_an_iteration_of_an_unknown_model_makes_the_whole_unknown():
    beside = iterations({"type": "advisor_message", "model": "house-oracle", "input_tokens": 100, "output_tokens": 0})
    assert cost(billed(Usage(input=10, output=0), iterations=beside), Terms()) == Cost(None, f"{NAME} has no price for 'house-oracle'")


@pytest.mark.parametrize("status", ["HIT", "hit", "SEMANTIC HIT"])
def test_an_answer_from_the_gateways_own_cache_bought_no_tokens(status):
    assert cost(billed(SOME, cache_status=status), ANTHROPIC) == Cost(0, "answered from the gateway's own cache")
    assert nanousd(SOME, "claude-opus-5", cache_status="MISS") == by_hand("claude-opus-5")


HOUSE = Rates(Decimal("0.5"), Decimal("1.5"), Decimal("0.05"), Decimal("0.5"), Decimal("0.5"))


def test_the_users_own_price_comes_first_and_nothing_changes_it():
    terms = Terms("anthropic", models=(ModelRates("house-*", HOUSE), ModelRates("claude-opus-4-8", HOUSE)))
    assert cost(billed(Usage(input=2, output=4, cache_read=100), "House-Small"), terms) == Cost(
        2 * 500 + 4 * 1500 + 100 * 50, "configuration house-*"
    )
    assert nanousd(Usage(input=2, output=0), "anthropic/claude-opus-4.8", terms, speed="fast", inference_geo="us") == 1000
    assert nanousd(SOME, "claude-opus-5", terms) == by_hand("claude-opus-5")


def test_a_gateways_discount_is_taken_off_the_bill_before_it_is_rounded():
    terms = Terms("anthropic", Decimal("0.075"), (ModelRates("house-small", HOUSE),))
    assert cost(billed(Usage(input=1, output=1, web_search_requests=1)), terms) == Cost(
        round((3000 + 15_000 + 10_000_000) * 0.925), f"{NAME} anthropic/claude-sonnet-4-5, 7.5% off"
    )
    assert nanousd(Usage(input=1, output=0), "house-small", terms) == 462  # 462.5, to the even side


@pytest.mark.parametrize(
    ("model", "provider", "tier", "expected"),
    [
        # Dollars a million: 1.75 in, 0.175 read, 14 out; flex is half of it.
        ("gpt-5.2", None, None, 100 * 1750 + 1000 * 175 + 50 * 14_000),
        ("gpt-5.2-2025-12-11", None, "default", 100 * 1750 + 1000 * 175 + 50 * 14_000),
        ("openai/gpt-5.2", None, "flex", (100 * 1750 + 1000 * 175 + 50 * 14_000) // 2),
        ("deepseek-v4-pro", "deepseek", None, None),
        ("kimi-k2.5", "moonshotai", None, 100 * 600 + 1000 * 100 + 50 * 3000),
        ("glm-4.7", "zai", None, 100 * 600 + 1000 * 110 + 50 * 2200),
        ("MiniMax-M2.7", "minimax", None, 100 * 300 + 1000 * 60 + 50 * 1200),
    ],
)
def test_other_vendors_have_prices_too(model, provider, tier, expected):
    found = cost(billed(Usage(input=100, output=50, cache_read=1000), model, service_tier=tier), Terms(provider))
    assert found.source.startswith(f"{NAME} ")
    assert found.nanousd == expected or (expected is None and found.nanousd)


@pytest.mark.parametrize(
    ("usage", "model", "provider", "why"),
    [
        (Usage(), "claude-sonnet-4-5", "anthropic", "no usage reported"),
        (Usage(input=5), "claude-sonnet-4-5", "anthropic", "no usage reported"),
        (Usage(input=5, output=5), None, "anthropic", "no model known"),
        (Usage(input=5, output=5), "house-small", None, f"{NAME} has no price for 'house-small'"),
        (Usage(input=5, output=5), "house-small", "anthropic", f"{NAME} has no price for 'house-small' at anthropic"),
        (Usage(input=5, output=5), "claude-sonnet-4-5", "nobody", f"{NAME} has no price for 'claude-sonnet-4-5' at nobody"),
        # DeepSeek answers in Claude's name with models of its own.
        (Usage(input=5, output=5), "claude-sonnet-4-5", "deepseek", f"{NAME} has no price for 'claude-sonnet-4-5' at deepseek"),
        (Usage(input=5, output=5), "team/claude-sonnet-4-5", "zai", f"{NAME} has no price for 'team/claude-sonnet-4-5' at zai"),
    ],
)
def test_what_has_no_price_is_unknown_and_says_why(usage, model, provider, why):
    assert cost(billed(usage, model), Terms(provider)) == Cost(None, why)


@pytest.mark.parametrize(("tokens", "expected"), [(1, 38), (2, 75), (3, 112), (5, 188), (1001, 37_538)])
def test_half_a_nano_dollar_is_rounded_once_to_the_even_side(tokens, expected):
    # 0.0375 dollars a million: 37.5 nano-dollars a token.
    assert nanousd(Usage(input=tokens, output=0), "command-r7b", Terms("cohere")) == expected


SECONDS = st.integers(0, 2 * 365 * 86_400).map(lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
TOKENS = st.none() | st.integers(0, 50) | st.integers(0, 1_000_000)
USAGES = st.tuples(*[TOKENS.map(lambda tokens: tokens or 0)] * 2, *[TOKENS] * 3).map(lambda counts: Usage(*counts))
#: The models of some vendors that are found by their own names.
ENTRIES = [
    (provider.id, model)
    for provider in get_snapshot().providers
    if provider.id in ("google", "openai", "deepseek", "cohere", "mistral")
    for model in provider.models
    if provider.find_model(model.id, all_providers=[provider]) is model
    and settled.ALIASES.get(model.id.lower(), model.id) not in settled.REPLACED.keys() | settled.ADDED.keys()
]


@given(st.sampled_from(ENTRIES), USAGES, SECONDS)
def test_every_model_costs_what_the_table_says_for_that_moment_and_length(entry, usage, at):
    provider, model = entry
    if model.id in settled.DEEPSEEK_PEAK_IS_ON_WEEKDAYS and at.weekday() >= 5:
        at = at.replace(hour=12)
    price = model.get_prices(at)
    if price.input_mtok is None or price.output_mtok is None:
        return
    length = sum(tokens or 0 for tokens in (usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h))

    def rate(*names: str) -> Decimal:
        found = next(value for name in names if (value := getattr(price, name)) is not None)
        if isinstance(found, TieredPrices):
            return max(
                (tier for tier in found.tiers if tier.start < length), key=lambda tier: tier.start, default=Tier(0, found.base)
            ).price
        return found

    write = rate("cache_write_5m_mtok", "cache_write_mtok", "input_mtok")
    # Where writes cost extra, long ones cost twice the input, unless they have a price of their own.
    long_write = rate("input_mtok") * 2 if write > rate("input_mtok") else write
    if price.cache_write_1h_mtok is not None:
        long_write = rate("cache_write_1h_mtok")
    read = rate("cache_read_mtok", "input_mtok")
    if provider == "mistral" and price.cache_read_mtok is None:
        read = rate("input_mtok") / 10
    exact = (
        (usage.input or 0) * rate("input_mtok")
        + (usage.output or 0) * rate("output_mtok")
        + (usage.cache_read or 0) * read
        + (usage.cache_write_5m or 0) * write
        + (usage.cache_write_1h or 0) * long_write
    )
    assert cost(billed(usage, model.id, at), Terms(provider)) == Cost(round(exact * 1000), f"{NAME} {provider}/{model.id}")


def dollars(model: str, *, at: datetime = THEN, provider: str | None = None) -> tuple[float, float, float] | None:
    """Input, output and cached input, in dollars per million tokens; None if there is no price."""
    some = 10**4  # below the size from which a long request costs more
    kinds = (Usage(input=some, output=0), Usage(input=0, output=some), Usage(input=0, output=0, cache_read=some))
    found = [cost(billed(usage, model, at), Terms(provider)).nanousd for usage in kinds]
    return None if None in found else tuple(nanousd / 1e7 for nanousd in found)


WEDNESDAY_PEAK, SATURDAY = datetime(2026, 11, 25, 8, tzinfo=UTC), datetime(2026, 11, 28, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # A geographic profile of Bedrock costs a tenth more since Claude 4.5, a global one does not; a government's a fifth.
        ("us.anthropic.claude-opus-4-6-v1", (5.5, 27.5, 0.55)),
        ("eu.anthropic.claude-sonnet-4-6", (3.3, 16.5, 0.33)),
        ("apac.anthropic.claude-haiku-4-5-20251001-v1:0", (1.1, 5.5, 0.11)),
        ("jp.anthropic.claude-sonnet-4-5-20250929-v1:0", (3.3, 16.5, 0.33)),
        ("au.anthropic.claude-opus-5-5", (4.4, 22, 0.22)),
        ("bedrock/us.anthropic.claude-opus-4-8", (5.5, 27.5, 0.55)),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-8", (5.5, 27.5, 0.55)),
        ("global.anthropic.claude-opus-4-6-v1", (5, 25, 0.5)),
        ("anthropic.claude-opus-4-6-v1", (5, 25, 0.5)),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", (3, 15, 0.3)),
        ("eu.anthropic.claude-3-7-sonnet-20250219-v1:0", (3, 15, 0.3)),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", (3.6, 18, 0.36)),
        ("us.openai.gpt-5.4", (2.75, 16.5, 0.275)),
        ("us.amazon.nova-pro-v1:0", (0.8, 3.2, 0.2)),
        ("eu.amazon.nova-pro-v1:0", (1.05, 4.2, 0.2625)),
        ("azure/eu/gpt-5.1", (1.375, 11, 0.1375)),
        ("azure/global/gpt-5.1", (1.25, 10, 0.125)),
        ("azure/gpt-5.1", (1.25, 10, 0.125)),
        # Outside China GLM costs what Z.ai takes.
        ("glm-5.3", (1.4, 4.4, 0.26)),
        ("z-ai/glm-4.7", (0.6, 2.2, 0.11)),
        ("glm-4.6", (0.6, 2.2, 0.11)),
        ("glm-4.5", (0.6, 2.2, 0.11)),
        ("mistral-large-latest", (0.5, 1.5, 0.05)),
        ("mistral/codestral-latest", (0.3, 0.9, 0.03)),
        ("devstral-latest", (0.4, 2, 0.04)),
        ("devstral-medium-latest", (0.4, 2, 0.04)),
        ("deepseek-chat", (0.28, 0.42, 0.028)),
        ("grok-4.20-reasoning", (1.25, 2.5, 0.2)),
        ("xai/grok-4.20-beta-0309-non-reasoning", (1.25, 2.5, 0.2)),
        ("kimi-for-coding", (0.95, 4, 0.19)),
        ("qwen3.8-max", (2, 6, 0.25)),
        ("dashscope/qwen-plus", (0.4, 1.2, 0.4)),
        ("models/gemini-2.5-pro", (1.25, 10, 0.125)),
        ("github_copilot/gpt-5.4", (2.5, 15, 0.25)),
        ("github_copilot/claude-opus-4.8", (5, 25, 0.5)),
        ("opencode/claude-sonnet-4-5", (3, 15, 0.3)),
        ("groq/llama-3.3-70b-versatile", (0.59, 0.79, 0.59)),
        # What a gateway gives away is known to cost nothing.
        ("qwen/qwen3-coder:free", (0, 0, 0)),
        # Names of open weights, and of small models taught by a large one, are nobody's price.
        ("deepseek-r1", None),
        ("deepseek/deepseek-r1-0528", None),
        ("deepseek-r1-distill-llama-70b", None),
        ("deepseek-chat-distill-8b", None),
        ("azure_ai/deepseek-v3.2", None),
        ("bedrock/eu-west-1/minimax.minimax-m2.5", None),
        # No successor that nobody knows is an older model.
        ("glm-9", None),
        ("grok-9", None),
        ("mistral-large-9", None),
        ("qwen9-max", None),
        ("nova-9-pro", None),
        ("devstral-9", None),
        ("kimi-k9", None),
        ("us.anthropic.claude-opus-9-9", None),
    ],
)
def test_what_others_have_wrong_is_settled(model, expected):
    found = dollars(model)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("model", ["deepseek-flash", "deepseek-v4-flash", "deepseek/deepseek-v4-pro"])
def test_deepseeks_peak_is_on_weekdays(model):
    assert dollars(model, at=WEDNESDAY_PEAK) == pytest.approx(tuple(2 * price for price in dollars(model, at=SATURDAY)))
