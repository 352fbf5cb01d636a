"""The requests of a year: working days of several hours, parallel sessions with subagents, a percent of errors."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS = 365
_DAY_SECONDS = 86_400
_MODELS = ("claude-opus-4-8", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
#: Nano-dollars for a token of fresh input, output, cache read, cache write: the scale matters here, not the price.
_PRICES = {
    "claude-opus-4-8": (5_000, 25_000, 500, 6_250),
    "claude-sonnet-4-5-20250929": (3_000, 15_000, 300, 3_750),
    "claude-haiku-4-5-20251001": (1_000, 5_000, 100, 1_250),
}
_PROJECTS = ("shop", "search", "billing", "infra")
_BRANCHES = ("main", "fix/rounding", "feature/export")
_GATEWAYS = ("vercel", "edgee", "anthropic")
_FAILED = 0.01


@dataclass(frozen=True, slots=True)
class Request:
    """`at` in epoch seconds.  Tokens None: it failed."""

    number: int
    at: float
    session: str
    agent: str | None
    gateway: str
    project: str
    branch: str
    model: str
    tokens: tuple[int, int, int, int] | None

    @property
    def nanousd(self) -> int | None:
        """Tokens are input, output, cache read, cache write."""
        return None if self.tokens is None else sum(count * price for count, price in zip(self.tokens, _PRICES[self.model], strict=True))


def requests(count: int, now: float) -> Iterator[Request]:
    """About so many, of the 365 days that end with `now`'s, by day and session."""
    dice = random.Random(365)  # noqa: S311 - figures, not secrets
    today = now - now % _DAY_SECONDS
    number = 0
    for day in range(DAYS):
        midnight = today - (DAYS - 1 - day) * _DAY_SECONDS
        is_today = day == DAYS - 1
        # Of a small year, too, there is something today.
        wanted = max(count * (day + 1) // DAYS, number + is_today)
        while number < wanted:
            # Today's began at midnight at the latest, whatever time it is now.
            begin = midnight + (0 if is_today else dice.uniform(8, 18) * 3600)
            for request in _session(dice, number, begin):
                yield request
                number = request.number + 1


def _session(dice: random.Random, number: int, begin: float) -> Iterator[Request]:
    session = str(uuid.UUID(int=dice.getrandbits(128), version=4))
    project, branch, gateway = dice.choice(_PROJECTS), dice.choice(_BRANCHES), dice.choice(_GATEWAYS)
    for agent in (None, *(f"a{dice.getrandbits(64):016x}" for _ in range(dice.randrange(5)))):
        model = _MODELS[2] if agent and dice.random() < 0.3 else dice.choice(_MODELS[:2])
        at = begin + dice.uniform(0, 1800)
        for _ in range(dice.randrange(5, 60) if agent else dice.randrange(20, 120)):
            at += dice.expovariate(1 / 15)
            failed = dice.random() < _FAILED
            tokens = (dice.randrange(5, 3000), dice.randrange(20, 3000), dice.randrange(20_000, 150_000), dice.randrange(5000))
            yield Request(number, at, session, agent, gateway, project, branch, model, None if failed else tokens)
            number += 1
