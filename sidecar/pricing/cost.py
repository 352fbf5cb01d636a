"""Tokens and a model's name -> nano-dollars: what one exchange costs on a gateway's terms.  Exact, rounded once, half to even.

What changes a price besides the model: platform.claude.com, "Pricing" (cache lifetimes, batch, web searches, data residency);
code.claude.com, "fast-mode"; platform.claude.com, "Compaction", the advisor tool and "Refusals and fallback" (`iterations`: billed
beside the top level, each at its own model's rates; a refusal before any output is free).  The rates come from `table.py`, or from the
user.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import lru_cache
from math import lcm
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from sidecar.metering.messages import usage_of
from sidecar.metering.values import text
from sidecar.pricing import table
from sidecar.pricing.bill import Cost
from sidecar.pricing.names import canonical
from sidecar.pricing.terms import Rates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sidecar.pricing.bill import Billed
    from sidecar.pricing.terms import Terms

#: Dollars per million tokens, and per thousand searches, as nano-dollars for one.
_PER_TOKEN, _PER_SEARCH = 10**9 // 10**6, 10**9 // 10**3

_BATCH = Fraction(1, 2)
_US_ONLY = Fraction(11, 10)
#: Data residency can be bought for this version and later ones; earlier models refuse a request for it.
_US_ONLY_SINCE = (4, 6)
#: Characters of the explanation, which quotes the model's name: the ledger keeps no longer text.
_LONGEST_SOURCE = 256


def cost(billed: Billed, terms: Terms) -> Cost:
    """What one exchange cost, by the price table and the gateway's terms."""
    if table.refresh():
        _tariff.cache_clear()
    return _cost(billed, terms) if billed.not_billed is None else Cost(0, billed.not_billed)


def _cost(billed: Billed, terms: Terms) -> Cost:
    if billed.cache_status and "HIT" in billed.cache_status.upper().split():
        return Cost(0, "answered from the gateway's own cache")
    if billed.usage.input is None or billed.usage.output is None:
        return Cost(None, "no usage reported")
    if billed.model is None:
        return Cost(None, "no model known")
    try:
        units, unit, source = _units(billed, billed.model, terms)
        if billed.stop_reason == "refusal" and not billed.usage.output:
            units, source = 0, source + ", refused before any output"
        for beside, model in _beside(billed, billed.model):
            more, its_unit, _ = _units(beside, model, terms)
            units, unit = units * its_unit + more * unit, unit * its_unit
        nanousd = _rounded(units, unit)
    except table.Unpriced as unpriced:
        return Cost(None, str(unpriced)[:_LONGEST_SOURCE])
    except Exception as error:  # noqa: BLE001 -- a table with a hole in it must not stop the ledger
        return Cost(None, f"{table.table_name()} failed on {billed.model!r}: {type(error).__name__}"[:_LONGEST_SOURCE])
    return Cost(nanousd, source + (f", {(terms.discount * 100).normalize():f}% off" if terms.discount else ""))


def _beside(billed: Billed, model: str) -> Iterator[tuple[Billed, str]]:
    """What was billed beside the top level.  Another model has a speed of its own: the ordinary one unless its iteration says more."""
    for entry in json.loads(billed.iterations) if billed.iterations else ():
        other = str(entry.get("model") or model)
        speed = text(entry.get("speed")) or (billed.speed if other == model else None)
        yield replace(billed, usage=usage_of(entry), speed=speed), other


def _units(billed: Billed, model: str, terms: Terms) -> tuple[int, int, str]:
    """How much, in which part of a nano-dollar (10: tenths), and by which rates.  Raises `Unpriced`."""
    tariff = _tariff(model, terms, billed.at, billed.speed, billed.service_tier, billed.inference_geo)
    usage = billed.usage
    counts = (
        usage.input or 0,
        usage.output or 0,
        usage.cache_read or 0,
        usage.cache_write_5m or 0,
        usage.cache_write_1h or 0,
        usage.web_search_requests or 0,
    )
    rates = tariff.rates[bisect_left(tariff.starts, counts[0] + counts[2] + counts[3] + counts[4])]
    return sum(map(mul, counts, rates)), tariff.unit, tariff.source


def rates_of(model: str, terms: Terms, at: datetime) -> Rates:
    """What a short request to `model` costs.  Raises `Unpriced`."""
    tariff = _tariff(model, terms, at, None, None, None)
    return Rates(*(Decimal(rate) / tariff.unit / _PER_TOKEN for rate in tariff.rates[0][:-1]))


class _Tariff(NamedTuple):
    """A model's rates on a gateway's terms: `rates[n]` when the input, cached tokens included, is longer than the first `n` of `starts`.
    Whole numbers of one `unit`th of a nano-dollar, in the order of `Rates`.
    """

    starts: tuple[int, ...]
    rates: tuple[tuple[int, ...], ...]
    unit: int
    source: str


# To find a tariff takes 100 µs.  Some hold for hours of the day, so the moment, in whole seconds, is a part of the key.
@lru_cache(maxsize=256)
def _tariff(
    model: str,
    terms: Terms,
    at: datetime,
    speed: str | None,
    service_tier: str | None,
    inference_geo: str | None,
) -> _Tariff:
    name = canonical(model)
    for own in terms.models:
        if fnmatchcase(model.lower(), own.pattern.lower()) or fnmatchcase(name, own.pattern.lower()):
            # The user's word on what a token costs is the last one.
            return _exactly(table.ByLength((), (own.rates,)), Fraction(1), terms, f"configuration {own.pattern}")
    fast, batch = speed == "fast", service_tier == "batch"
    if name.startswith("claude"):
        fast, batch = fast or name.endswith("-fast"), batch or name.endswith(":batch")
        name = name.removesuffix(":batch").removesuffix("-fast")
    rates, source = table.rates(model, name, terms.provider, at, fast=fast, tier=None if batch else service_tier)
    times = table.premium(model, name)
    if times != 1:
        source += ", of a region"
    if fast:
        source += ", fast"
    if batch:
        times, source = times * _BATCH, source + ", batch"
    if inference_geo == "us" and table.version(name) >= _US_ONLY_SINCE:
        times, source = times * _US_ONLY, source + ", us only"
    return _exactly(rates, times, terms, source)


def _exactly(rates: table.ByLength, times: Fraction, terms: Terms, source: str) -> _Tariff:
    """`times` holds for tokens alone, the discount for searches, too."""
    share = 1 - Fraction(terms.discount)
    exact = [
        (*(Fraction(rate) * times * share * _PER_TOKEN for rate in tokens), Fraction(searches) * share * _PER_SEARCH)
        for *tokens, searches in rates.rates
    ]
    unit = lcm(*(rate.denominator for each in exact for rate in each))
    return _Tariff(rates.starts, tuple(tuple(int(rate * unit) for rate in each) for each in exact), unit, source)


def _rounded(units: int, unit: int) -> int:
    """Whole nano-dollars, half to even."""
    whole, rest = divmod(units, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2))
