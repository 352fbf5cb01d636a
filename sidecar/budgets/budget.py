"""What may be spent, and the accounts that count it.  Pure, but for the local zone, in which days, weeks and months begin.

Tokens are input, output, cache reads and cache writes together.  Dollars are what has a price and is billed by the token: a request
of unknown cost counts as nothing, with the number of those beside it, and a subscription's requests cost no dollars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Shares of a budget, in percent, at which somebody is told.
THRESHOLDS = (75, 95)


class Per(StrEnum):
    DAY = "day"
    WEEK = "week"  # from Monday
    MONTH = "month"
    SESSION = "session"


class Unit(StrEnum):
    DOLLARS = "dollars"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Limit:
    """`amount` in nano-dollars or in tokens."""

    amount: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Use:
    """A request as budgets see it; `at` is when it began, in seconds since the epoch."""

    at: float
    session: str
    gateway: str
    tags: tuple[str, ...]
    metered: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """Of `gateway` only and of requests with `tag` only, where they are given."""

    per: Per
    limit: Limit
    gateway: str | None = None
    tag: str | None = None

    def covers(self, use: Use) -> bool:
        return (
            self.gateway in {None, use.gateway}
            and (self.tag is None or self.tag in use.tags)
            and (self.limit.unit is Unit.TOKENS or use.metered)
        )


@dataclass(frozen=True, slots=True)
class Account:
    """One day, week, month or session of a budget: from `since` up to, not including, `until`, in seconds since the epoch."""

    budget: Budget
    since: float
    until: float
    session: str | None = None

    def takes(self, use: Use) -> bool:
        """Whether this request is charged to the account."""
        return self.session in {None, use.session} and self.since <= use.at < self.until and self.budget.covers(use)


@dataclass(frozen=True, slots=True)
class Spent:
    """`unpriced` counts the requests whose cost is not known."""

    nanousd: int = 0
    tokens: int = 0
    unpriced: int = 0

    def __add__(self, more: Spent) -> Spent:
        return Spent(self.nanousd + more.nanousd, self.tokens + more.tokens, self.unpriced + more.unpriced)

    def at_least(self, other: Spent) -> Spent:
        """The larger of each number."""
        return Spent(max(self.nanousd, other.nanousd), max(self.tokens, other.tokens), max(self.unpriced, other.unpriced))

    def of(self, limit: Limit) -> int:
        """The amount in the limit's unit."""
        return self.tokens if limit.unit is Unit.TOKENS else self.nanousd


def account(budget: Budget, at: float, session: str | None = None) -> Account:
    """The account that is open at that moment; `session` says whose, for a budget per session."""
    if budget.per is Per.SESSION:
        return Account(budget, -math.inf, math.inf, session)
    day = datetime.fromtimestamp(at).astimezone().date()
    match budget.per:
        case Per.DAY:
            begin, end = day, day + timedelta(days=1)
        case Per.WEEK:
            begin = day - timedelta(days=day.weekday())
            end = begin + timedelta(days=7)
        case Per.MONTH:
            begin = day.replace(day=1)
            end = (begin + timedelta(days=31)).replace(day=1)
    return Account(budget, _midnight(begin), _midnight(end))


def accounts(budgets: Iterable[Budget], use: Use) -> tuple[Account, ...]:
    """Accounts this request is charged to."""
    return tuple(account(budget, use.at, use.session) for budget in budgets if budget.covers(use))


def percent(limit: Limit, spent: Spent) -> int:
    """The share that is spent, rounded down: from 100 on nothing is left."""
    return spent.of(limit) * 100 // limit.amount


def passed(limit: Limit, before: Spent, after: Spent) -> int | None:
    """The highest threshold on the way from one to the other, None if there is none: so each is passed once."""
    return next((at for at in reversed(THRESHOLDS) if percent(limit, before) < at <= percent(limit, after)), None)


def _midnight(day: date) -> float:
    return datetime.combine(day, time()).timestamp()
