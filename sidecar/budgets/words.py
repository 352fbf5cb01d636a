"""Budgets in words, for messages, tables and the status line.  Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sidecar.budgets.budget import THRESHOLDS, Per, Unit, percent

if TYPE_CHECKING:
    from sidecar.budgets.budget import Account, Budget, Spent

_NOW = {Per.DAY: "today", Per.WEEK: "this week", Per.MONTH: "this month", Per.SESSION: "in this session"}
_UNITS = ((10**6, "M"), (10**3, "k"))


def named(budget: Budget) -> str:
    """`$5.00 per day on gateway vercel with tag review`."""
    gateway = f" on gateway {budget.gateway}" if budget.gateway else ""
    tag = f" with tag {budget.tag}" if budget.tag else ""
    return f"{amount(budget.limit.amount, budget.limit.unit)} per {budget.per}{gateway}{tag}"


def left(budget: Budget, spent: Spent) -> str:
    """What is left, as the status line and `top` say it: `$1.20 of $5.00 left today`."""
    limit = budget.limit
    rest = amount(max(limit.amount - spent.of(limit), 0), limit.unit).removesuffix(" tokens")
    return f"{rest} of {amount(limit.amount, limit.unit)} left {_NOW[budget.per]}"


def told(account: Account, spent: Spent) -> dict[str, object]:
    """As `status --json` has it.  `state` is ok, near (from the first threshold on) or spent; `until` is UTC, None for a session."""
    budget, limit = account.budget, account.budget.limit
    share = percent(limit, spent)
    by_unit: dict[str, object] = (
        {"limit_tokens": limit.amount, "spent_tokens": spent.tokens}
        if limit.unit is Unit.TOKENS
        else {"limit_usd": limit.amount / 1e9, "spent_usd": spent.nanousd / 1e9, "unpriced_requests": spent.unpriced}
    )
    return {
        "budget": named(budget),
        "per": budget.per.value,
        "gateway": budget.gateway,
        "tag": budget.tag,
        "session": account.session,
        "until": None if account.session is not None else datetime.fromtimestamp(account.until, UTC).isoformat().replace("+00:00", "Z"),
        **by_unit,
        "percent": share,
        "state": "spent" if share >= 100 else "near" if share >= THRESHOLDS[0] else "ok",
        "left": left(budget, spent),
    }


def amount(value: int, unit: Unit) -> str:
    """Nano-dollars or tokens: `$5.00`, `$0.0042`, `1.98M tokens`, `12.5k tokens`, `950 tokens`."""
    if unit is Unit.DOLLARS:
        dollars = value / 1e9
        return f"${dollars:,.2f}" if dollars >= 0.01 or not value else f"${dollars:.4f}"
    size, letter = next(((size, letter) for size, letter in _UNITS if value >= size), (1, ""))
    # Down, not to the nearest: nobody is told that all is spent while something is left.
    return f"{value * 100 // size / 100:.12g}{letter} tokens"
