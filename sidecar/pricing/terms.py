"""What a gateway charges, as far as the configuration says: prices of its own, a discount, whose table to look in.  Values only."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Rates(NamedTuple):
    """Dollars per million tokens, for web searches per thousand."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    web_searches: Decimal = Decimal(10)


class ModelRates(NamedTuple):
    """`pattern` (exact or glob) of a model id -> what the user says it costs, whoever serves it."""

    pattern: str
    rates: Rates


class Terms(NamedTuple):
    """`provider` is the price table's name for who sells at this gateway; `discount` a share of the bill, 0.1 for ten percent.

    The first of `models` that matches comes before the table.
    """

    provider: str | None = None
    discount: Decimal = Decimal(0)
    models: tuple[ModelRates, ...] = ()
