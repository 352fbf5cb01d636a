"""Tokens and a model's name -> nano-dollars.  The only importer of the price library, whose import takes 200 ms: import this late.

The table is the one in the installed package; nothing is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING

import genai_prices

if TYPE_CHECKING:
    from datetime import datetime

    from sidecar.metering.reading import Usage

TABLE = f"genai-prices {genai_prices.__version__}"

_NANO = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Cost:
    """`nanousd` None: unknown.  `source` names the table and the model matched, or says why none was."""

    nanousd: int | None
    source: str


def cost(usage: Usage, model: str | None, provider: str | None, at: datetime) -> Cost:
    """What `usage` costs at the prices of the moment `at`.  `provider` is the table's name for who sells it; None: by the model."""
    if usage.input is None or usage.output is None:
        return Cost(None, "no usage reported")
    if model is None:
        return Cost(None, "no model known")
    try:
        found = genai_prices.calc_price(_counts(usage), model, provider_id=provider, genai_request_timestamp=at)
    except LookupError:
        return Cost(None, f"{TABLE} has no price for {model!r}" + (f" at {provider}" if provider else ""))
    except Exception as error:  # noqa: BLE001 -- a table with a hole in it must not stop the ledger
        return Cost(None, f"{TABLE} failed on {model!r}: {type(error).__name__}")
    with localcontext() as context:
        context.prec = 60
        nanousd = int((Decimal(found.total_price) * _NANO).quantize(Decimal(1), ROUND_HALF_EVEN))
    return Cost(nanousd, f"{TABLE} {found.provider.id}/{found.model.id}")


def _counts(usage: Usage) -> genai_prices.Usage:
    """The library's input tokens include those read from and written to a cache, its writes both lifetimes."""
    read, write_5m, write_1h = usage.cache_read or 0, usage.cache_write_5m or 0, usage.cache_write_1h or 0
    return genai_prices.Usage(
        input_tokens=(usage.input or 0) + read + write_5m + write_1h,
        output_tokens=usage.output or 0,
        cache_read_tokens=read,
        cache_write_tokens=write_5m + write_1h,
        cache_write_5m_tokens=write_5m,
        cache_write_1h_tokens=write_1h,
    )
