"""Tokens and a model's name -> nano-dollars: what one exchange costs on a gateway's terms.  Exact, rounded once, half to even.

What changes a price besides the model: platform.claude.com, "Pricing" (cache lifetimes, batch, web searches, data residency);
code.claude.com, "fast-mode"; platform.claude.com, "Compaction" and the advisor tool (`iterations`: billed beside the top level, each
at its own model's rates).  The rates come from `table.py`, or from the user.
"""

from __future__ import annotations

import json
import re
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sidecar.metering.messages import usage_of
from sidecar.pricing import table
from sidecar.pricing.bill import Cost
from sidecar.pricing.names import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sidecar.metering.reading import Usage
    from sidecar.pricing.bill import Billed
    from sidecar.pricing.terms import ModelRates, Rates, Terms

_THOUSAND, _MILLION, _NANO = (Decimal(10) ** digits for digits in (3, 6, 9))

_BATCH = Decimal("0.5")
_US_ONLY = Decimal("1.1")
#: Data residency can be bought for this version and later ones; earlier models refuse a request for it.
_US_ONLY_SINCE = (4, 6)
_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:-(\d{1,2}))?\b")


def cost(billed: Billed, terms: Terms) -> Cost:
    if billed.cache_status and "HIT" in billed.cache_status.upper().split():
        return Cost(0, "answered from the gateway's own cache")
    if billed.usage.input is None or billed.usage.output is None:
        return Cost(None, "no usage reported")
    if billed.model is None:
        return Cost(None, "no model known")
    try:
        with localcontext() as context:
            context.prec = 60
            dollars, source = _dollars(billed, billed.model, terms)
            for beside, model in _beside(billed, billed.model):
                dollars += _dollars(beside, model, terms)[0]
            nanousd = int((dollars * (1 - terms.discount) * _NANO).quantize(Decimal(1), ROUND_HALF_EVEN))
    except table.Unpriced as unpriced:
        return Cost(None, str(unpriced))
    except Exception as error:  # noqa: BLE001 -- a table with a hole in it must not stop the ledger
        return Cost(None, f"{table.NAME} failed on {billed.model!r}: {type(error).__name__}")
    return Cost(nanousd, source + (f", {(terms.discount * 100).normalize():f}% off" if terms.discount else ""))


def _beside(billed: Billed, model: str) -> Iterator[tuple[Billed, str]]:
    """What was billed beside the top level.  Another model has a speed of its own, which nobody reports: the ordinary one."""
    for entry in json.loads(billed.iterations) if billed.iterations else ():
        other = str(entry.get("model") or model)
        yield billed._replace(usage=usage_of(entry), speed=billed.speed if other == model else None), other


def _dollars(billed: Billed, model: str, terms: Terms) -> tuple[Decimal, str]:
    """Raises `Unpriced`."""
    tariff = _tariff(model, terms.provider, terms.models, billed.at, billed.speed, billed.service_tier, billed.inference_geo)
    rates = tariff.rates.of(_input(billed.usage))
    return _tokens(billed.usage, rates) * tariff.times + _searches(billed.usage, rates), tariff.source


class _Tariff(NamedTuple):
    """`times` holds for tokens alone, not for searches."""

    rates: table.ByLength
    times: Decimal
    source: str


# To find a tariff takes 100 µs.  Some hold for hours of the day, so the moment, in whole seconds, is a part of the key.
@lru_cache(maxsize=256)
def _tariff(
    model: str,
    provider: str | None,
    models: tuple[ModelRates, ...],
    at: datetime,
    speed: str | None,
    service_tier: str | None,
    inference_geo: str | None,
) -> _Tariff:
    name = canonical(model)
    for own in models:
        if fnmatchcase(model.lower(), own.pattern.lower()) or fnmatchcase(name, own.pattern.lower()):
            # The user's word on what a token costs is the last one.
            return _Tariff(table.ByLength((), (own.rates,)), Decimal(1), f"configuration {own.pattern}")
    fast, batch = speed == "fast", service_tier == "batch"
    if name.startswith("claude"):
        fast, batch = fast or name.endswith("-fast"), batch or name.endswith(":batch")
        name = name.removesuffix(":batch").removesuffix("-fast")
    rates, source = table.rates(model, name, provider, at, fast=fast, tier=None if batch else service_tier)
    times = Decimal(1)
    if fast:
        source += ", fast"
    if batch:
        times, source = times * _BATCH, source + ", batch"
    if inference_geo == "us" and _version(name) >= _US_ONLY_SINCE:
        times, source = times * _US_ONLY, source + ", us only"
    return _Tariff(rates, times, source)


def _tokens(usage: Usage, rates: Rates) -> Decimal:
    return (
        (usage.input or 0) * rates.input
        + (usage.output or 0) * rates.output
        + (usage.cache_read or 0) * rates.cache_read
        + (usage.cache_write_5m or 0) * rates.cache_write_5m
        + (usage.cache_write_1h or 0) * rates.cache_write_1h
    ) / _MILLION


def _searches(usage: Usage, rates: Rates) -> Decimal:
    return (usage.web_search_requests or 0) * rates.web_searches / _THOUSAND


def _input(usage: Usage) -> int:
    return (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)


def _version(name: str) -> tuple[int, int]:
    found = _VERSION.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)
