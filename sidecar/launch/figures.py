"""Numbers as people read them.  Pure.  What is unknown is a question mark, never a zero."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "?"
#: Before a cost that nobody bills.
SUBSCRIPTION = "~"
_MILLION = 1_000_000


def count(value: object) -> str:
    if not isinstance(value, int):
        return UNKNOWN
    return f"{value:,}" if value < _MILLION else f"{value / _MILLION:,.2f}M"


def dollars(value: object) -> str:
    if not isinstance(value, int | float):
        return UNKNOWN
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def total_cost(sums: Mapping[str, object]) -> str:
    """The cost of several requests.  `+?`: some have no known price.  `~`: some went through a subscription, which bills nobody by token."""
    cost = dollars(sums["cost_usd"])
    if sums["unpriced_requests"] and cost != UNKNOWN:
        cost += f"+{UNKNOWN}"
    return cost if sums["subscription_cost_usd"] is None else SUBSCRIPTION + cost


def unknown_costs(sums: Mapping[str, object]) -> str | None:
    """What `+?` behind a sum of costs means; None if every cost is known."""
    unpriced, requests = sums["unpriced_requests"], sums["requests"]
    if not unpriced or sums["cost_usd"] is None:
        return None
    return f"+{UNKNOWN} {unpriced} of {requests} requests {'has' if unpriced == 1 else 'have'} no known cost: sidecar usage --by request"


def percent(share: object) -> str:
    """A share of 1.  Rounded down, and never to nothing: 100% is all of it, 0% none."""
    if not isinstance(share, int | float):
        return UNKNOWN
    return "<1%" if 0 < share < 0.01 else f"{int(share * 100)}%"


def rate(value: object) -> str:
    if not isinstance(value, int | float):
        return UNKNOWN
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def duration(milliseconds: object) -> str:
    """`310ms`, `2.4s`, `3m05s`, `1h02m`."""
    if not isinstance(milliseconds, int | float):
        return UNKNOWN
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f}s"
    seconds = round(milliseconds / 1000)
    return f"{seconds // 60}m{seconds % 60:02}s" if seconds < 3600 else f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
