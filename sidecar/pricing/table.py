"""The price table: a model at a provider -> `Rates`.  The only importer of the price library, whose import takes 200 ms: import late.

The table is the one in the installed package, or a newer one that `sidecar prices update` has stored; nothing is fetched here.  A model
that it lacks is `Unpriced`, never free.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from sidecar.launch.files import read_regular
from sidecar.pricing import settled
from sidecar.pricing.terms import Rates

# The library's HTTP client is for newer tables, which are never fetched here: 1.2 MiB and 25 ms.
if _is_spared := "httpx2" not in sys.modules:
    sys.modules["httpx2"] = ModuleType("httpx2")
import genai_prices
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import TieredPrices, _providers_from_raw

if _is_spared:
    del sys.modules["httpx2"]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from genai_prices.types import ModelInfo, ModelPrice

NAME = f"genai-prices {genai_prices.__version__}"
#: A stored table is looked at no more often than this.
_LOOK_SECONDS = 1.0
_LARGEST = 32 << 20
#: Fewer sellers than this are no whole table.
_FEWEST_SELLERS = 20

#: Where Claude costs what it costs at Anthropic, and no provider of the table's is meant at all.
_AT_ANTHROPICS_PRICES = {None, "anthropic", "openrouter"}
#: Where models of every vendor are sold.
_OF_ALL_VENDORS = {None, "openrouter"}

#: The same of fast mode: code.claude.com, "fast-mode".  That of 4.7 rests on one weak source [unverified].
_FAST = {"claude-opus-4-6": 6, "claude-opus-4-7": 6}
#: Dollars per thousand web searches where the table has no price for them: what most vendors take, and docs.x.ai, "Pricing", tools.
_SEARCH = Decimal(10)
_SEARCHES = {"x-ai": Decimal(5)}


#: The providers that sell models of their own and nothing else.
_VENDORS = {"deepseek", "mistral", "moonshotai", "zai", "minimax", "google", "x-ai", "openai"}
_FREE = Rates(Decimal(0), Decimal(0), Decimal(0), Decimal(0), Decimal(0), Decimal(0))
_GEOGRAPHIC = Fraction(11, 10)
_SATURDAY = 5
_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:-(\d{1,2}))?\b")


class Unpriced(Exception):
    """There is no price, and this is why."""


class ByLength(NamedTuple):
    """What a model costs: `rates[n]` when the input, cached tokens included, is longer than the first `n` of `starts`.

    All tokens of a request cost what the highest tier says that it reaches into.
    """

    starts: tuple[int, ...]
    rates: tuple[Rates, ...]


class _Stored:
    """The newer table, where there is one: its file, the version of it that is in use, and when that was looked at last."""

    path: str | None = None
    stamp: tuple[int, int] | None = None
    looked_at = -math.inf
    name = NAME


def follow(path: str) -> None:
    """From now on use the table stored at `path`, whenever there is one."""
    if path != _Stored.path:
        _Stored.path, _Stored.looked_at = path, -math.inf


def refresh() -> bool:
    """Take over a stored table that has come, changed or gone.  True if prices may differ from those of before.

    A file that cannot be read leaves the table in use as it is.
    """
    if _Stored.path is None or time.monotonic() - _Stored.looked_at < _LOOK_SECONDS:
        return False
    _Stored.looked_at = time.monotonic()
    stamp: tuple[int, int] | None = None
    snapshot: DataSnapshot | None = None
    try:
        info = os.stat(_Stored.path)
        stamp = info.st_mtime_ns, info.st_size
        snapshot = None if stamp == _Stored.stamp else parsed(read_regular(_Stored.path, _LARGEST))
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        return False
    if stamp == _Stored.stamp:
        return False
    _Stored.stamp = stamp
    _Stored.name = NAME if stamp is None else f"genai-prices of {time.strftime('%Y-%m-%d', time.gmtime(stamp[0] / 1e9))}"
    set_custom_snapshot(snapshot)
    _entry.cache_clear()
    return True


def table_name() -> str:
    """The table in use."""
    return _Stored.name


def parsed(data: bytes) -> DataSnapshot:
    """A table as its makers publish it.  Raises ValueError for anything that is not a whole one."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(raw, list) or len(raw) < _FEWEST_SELLERS:
        raise ValueError(f"it is not a list of at least {_FEWEST_SELLERS} sellers")
    try:
        snapshot = DataSnapshot(_providers_from_raw(raw), from_auto_update=False)
        snapshot.find_provider_model("claude-sonnet-4-5", None, "anthropic", None)
    except Exception as error:
        raise ValueError(f"it cannot be used ({type(error).__name__})") from error
    return snapshot


def rates(model: str, name: str, provider: str | None, at: datetime, *, fast: bool, tier: str | None) -> tuple[ByLength, str]:
    """What `model`, whose vendor calls it `name`, costs at `at`, and the entry matched."""
    name = _known_as(name)
    if (own := _settled(model, name, provider)) is not None:
        return ByLength((), (own,)), f"settled {name}"
    found = next((found for seller, spelling in _spellings(model, name, provider) if (found := _entry(seller, spelling))), None)
    if found is None:
        raise Unpriced(f"{table_name()} has no price for {model!r}" + (f" at {provider}" if provider else ""))
    seller, info = found
    if seller == "deepseek" and name in settled.DEEPSEEK_PEAK_IS_ON_WEEKDAYS and at.weekday() >= _SATURDAY:
        at = at.replace(hour=settled.OFF_PEAK_HOUR_UTC)
    context = {"service_tier": tier} if tier else {}
    standard = info.get_prices(at, context)
    times = 1
    if fast:
        price = info.get_prices(at, context | {"speed": "fast"})
        times = _FAST.get(name, 1) if price == standard else 1
        if price == standard and times == 1:
            raise Unpriced(f"{table_name()} has no price for the fast mode of {model!r}")
        standard = price
    if standard.input_mtok is None or standard.output_mtok is None:
        raise Unpriced(f"{table_name()} has no price for the tokens of {model!r}")
    return _by_length(
        standard, times, _SEARCHES.get(seller, _SEARCH), settled.CACHED_SHARE.get(seller)
    ), f"{table_name()} {seller}/{info.id}"


def _settled(model: str, name: str, provider: str | None) -> Rates | None:
    """What `settled.py` says of the model; None if the table is to be asked.  Raises `Unpriced`."""
    if model.lower().endswith(":free"):
        return _FREE
    if provider is None and re.search(settled.OF_A_CLOUD, model.lower()) and re.match(settled.OPEN_WEIGHTS, name):
        raise Unpriced(f"{table_name()} does not know what this cloud takes for {model!r}")
    # A seller of everybody's models has prices of its own.
    if provider is not None and provider not in _AT_ANTHROPICS_PRICES and provider not in _VENDORS:
        return None
    return settled.REPLACED.get(name) or settled.ADDED.get(name)


def premium(model: str, name: str) -> Fraction:
    """By how much a region's own endpoint makes `model`, whose vendor calls it `name`, dearer than the list."""
    spelled = model.lower()
    for place, whose, factor in settled.PREMIUMS:
        if re.search(place, spelled) and re.match(whose, name):
            is_early = name.startswith("claude") and factor == _GEOGRAPHIC and version(name) < settled.PREMIUM_SINCE
            return Fraction(1) if is_early else factor
    return Fraction(1)


def version(name: str) -> tuple[int, int]:
    """A Claude's version: (4, 8) for `claude-opus-4-8`; (0, 0) for what is none, or an early one."""
    found = _VERSION.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _known_as(name: str) -> str:
    """The table's name for a model that has another one now."""
    if name.startswith(("grok-4.20-", "grok-4-20-")):  # its experiments and modes cost the same (docs.x.ai)
        return "grok-4.20"
    return settled.ALIASES.get(name, name)


def _spellings(model: str, name: str, provider: str | None) -> Iterator[tuple[str | None, str]]:
    """Where to look, the surest first.  Gateways pass Anthropic's prices on, and its own entry is the complete one: OpenRouter's have
    no one-hour writes.  A vendor that sells nothing but models of its own is never taken for another.
    """
    if name.startswith("claude") and provider in _AT_ANTHROPICS_PRICES:
        yield "anthropic", name
    if provider is None:
        yield from ((seller, name) for beginning, seller in settled.SELLERS if name.startswith(beginning))
        if model.lower().startswith("groq/"):
            yield "groq", model.partition("/")[2]
    else:
        yield provider, model
        yield provider, name
    if provider in _OF_ALL_VENDORS and not name.startswith(settled.OF_NOBODY) and settled.DISTILLED not in name:
        yield None, name


@lru_cache(maxsize=1024)
def _entry(provider: str | None, model: str) -> tuple[str, ModelInfo] | None:
    try:
        found = genai_prices.calc_price(genai_prices.Usage(), model, provider_id=provider)
    except LookupError:
        return None
    return found.provider.id, found.model


def _by_length(price: ModelPrice, times: int, search: Decimal, cached_share: Decimal | None) -> ByLength:
    starts = sorted({tier.start for tiered in vars(price).values() if isinstance(tiered, TieredPrices) for tier in tiered.tiers})
    return ByLength(
        (*starts,), tuple(_rates(price, shortest, times, search, cached_share) for shortest in (0, *(start + 1 for start in starts)))
    )


def _rates(price: ModelPrice, input_tokens: int, times: int, search: Decimal, cached_share: Decimal | None) -> Rates:
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
        cache_read=input_ * cached_share
        if price.cache_read_mtok is None and cached_share is not None
        else rate("cache_read_mtok", "input_mtok"),
        cache_write_5m=write,
        cache_write_1h=long_write,
        web_searches=search if price.web_searches_kcount is None else _of_this_length(price.web_searches_kcount, input_tokens),
    )


def _of_this_length(price: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    if not isinstance(price, TieredPrices):
        return price
    return next((tier.price for tier in reversed(price.tiers) if input_tokens > tier.start), price.base)
