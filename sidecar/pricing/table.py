"""The price table: a model at a provider -> `Rates`.  The only importer of the price library, whose import takes 200 ms: import late.

The table is the one in the installed package; nothing is fetched.  A model that it lacks is `Unpriced`, never free.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from sidecar.pricing.terms import Rates

# The library's HTTP client is for newer tables, which are never fetched here: 1.2 MiB and 25 ms.
if _is_spared := "httpx2" not in sys.modules:
    sys.modules["httpx2"] = ModuleType("httpx2")
import genai_prices
from genai_prices.types import TieredPrices

if _is_spared:
    del sys.modules["httpx2"]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from genai_prices.types import ModelInfo, ModelPrice

NAME = f"genai-prices {genai_prices.__version__}"

#: Where Claude costs what it costs at Anthropic, and no provider of the table's is meant at all.
_AT_ANTHROPICS_PRICES = {None, "anthropic", "openrouter"}
#: Where models of every vendor are sold.
_OF_ALL_VENDORS = {None, "openrouter"}

#: What the table lacks.  platform.claude.com, "Pricing".
_ADDED = {
    "claude-mythos-5": Rates(Decimal(10), Decimal(50), Decimal(1), Decimal("12.5"), Decimal(20)),
    "claude-mythos-5-1": Rates(Decimal(10), Decimal(50), Decimal("0.25"), Decimal("12.5"), Decimal(20)),
}
#: The same of fast mode: code.claude.com, "fast-mode".  That of 4.7 rests on one weak source [unverified].
_FAST = {"claude-opus-4-6": 6, "claude-opus-4-7": 6}
#: Dollars per thousand web searches where the table has no price for them: what most vendors take, and docs.x.ai, "Pricing", tools.
_SEARCH = Decimal(10)
_SEARCHES = {"x-ai": Decimal(5)}


class Unpriced(Exception):
    """There is no price, and this is why."""


class ByLength(NamedTuple):
    """What a model costs: `rates[n]` when the input, cached tokens included, is longer than the first `n` of `starts`.

    All tokens of a request cost what the highest tier says that it reaches into.
    """

    starts: tuple[int, ...]
    rates: tuple[Rates, ...]


def rates(model: str, name: str, provider: str | None, at: datetime, *, fast: bool, tier: str | None) -> tuple[ByLength, str]:
    """What `model`, whose vendor calls it `name`, costs at `at`, and the entry matched."""
    for seller, spelling in _spellings(model, name, provider):
        if found := _entry(seller, spelling):
            break
    else:
        if name in _ADDED and provider in _AT_ANTHROPICS_PRICES:
            return ByLength((), (_ADDED[name],)), f"platform.claude.com {name}"
        raise Unpriced(f"{NAME} has no price for {model!r}" + (f" at {provider}" if provider else ""))
    seller, info = found
    context = {"service_tier": tier} if tier else {}
    standard = info.get_prices(at, context)
    times = 1
    if fast:
        price = info.get_prices(at, context | {"speed": "fast"})
        times = _FAST.get(name, 1) if price == standard else 1
        if price == standard and times == 1:
            raise Unpriced(f"{NAME} has no price for the fast mode of {model!r}")
        standard = price
    if standard.input_mtok is None or standard.output_mtok is None:
        raise Unpriced(f"{NAME} has no price for the tokens of {model!r}")
    return _by_length(standard, times, _SEARCHES.get(seller, _SEARCH)), f"{NAME} {seller}/{info.id}"


def _spellings(model: str, name: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """Where to look, the surest first.  Gateways pass Anthropic's prices on, and its own entry is the complete one: OpenRouter's have
    no one-hour writes.  A vendor that sells nothing but models of its own is never taken for another.
    """
    if name.startswith("claude") and provider in _AT_ANTHROPICS_PRICES:
        yield "anthropic", name
    yield provider, model
    yield provider, name
    if provider in _OF_ALL_VENDORS:
        yield None, name


@lru_cache(maxsize=1024)
def _entry(provider: str | None, model: str) -> tuple[str, ModelInfo] | None:
    try:
        found = genai_prices.calc_price(genai_prices.Usage(), model, provider_id=provider)
    except LookupError:
        return None
    return found.provider.id, found.model


def _by_length(price: ModelPrice, times: int, search: Decimal) -> ByLength:
    starts = sorted({tier.start for tiered in vars(price).values() if isinstance(tiered, TieredPrices) for tier in tiered.tiers})
    return ByLength((*starts,), tuple(_rates(price, shortest, times, search) for shortest in (0, *(start + 1 for start in starts))))


def _rates(price: ModelPrice, input_tokens: int, times: int, search: Decimal) -> Rates:
    def rate(*keys: str) -> Decimal:
        values = (getattr(price, key) for key in keys)
        return _of_this_length(next(value for value in values if value is not None), input_tokens) * times

    # A cached token without a price of its own is an input token.  Where writes cost extra, those that last for hours cost twice the input
    # price: platform.claude.com, "Pricing" (one hour); OpenAI, "Prompt caching" (twelve hours).
    input_, write = rate("input_mtok"), rate("cache_write_5m_mtok", "cache_write_mtok", "input_mtok")
    long_write = rate("cache_write_1h_mtok") if price.cache_write_1h_mtok is not None else 2 * input_ if write > input_ else write
    return Rates(
        input=input_,
        output=rate("output_mtok"),
        cache_read=rate("cache_read_mtok", "input_mtok"),
        cache_write_5m=write,
        cache_write_1h=long_write,
        web_searches=search if price.web_searches_kcount is None else _of_this_length(price.web_searches_kcount, input_tokens),
    )


def _of_this_length(price: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    if not isinstance(price, TieredPrices):
        return price
    return next((tier.price for tier in reversed(price.tiers) if input_tokens > tier.start), price.base)
