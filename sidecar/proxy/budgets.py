"""Whether a request may go out, and how every budget stands.

The amounts are in memory; only an account that nobody has asked for yet (after a start or a reload, at midnight, of a session) is
summed up from the ledger, in the ledger's thread.  What is under way counts once it has ended; a request that comes right behind waits
until the ledger's thread has counted it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING

from sidecar.budgets.budget import Per, Use, account, accounts, percent
from sidecar.budgets.words import amount, named
from sidecar.errors import Refusal
from sidecar.ledger.entry import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sidecar.budgets.budget import Account, Budget, Spent
    from sidecar.config.settings import Settings
    from sidecar.ledger.writer import Ledger
    from sidecar.proxy.plan import Plan

#: Claude Code shows a 429 that forbids retries at once, and tries no fallback model after it; every other agent needs a 400.
_SHOWS_429 = "claude-cli"


async def check_budgets(settings: Settings, plan: Plan, ledger: Ledger) -> None:
    """Raises `Refusal` (`over_budget`) for an inference request where a budget that counts it is spent."""
    caller, there = plan.caller, plan.there
    if not settings.budgets or there.kind is not Kind.INFERENCE:
        return
    use = Use(time.time(), caller.session, there.gateway.name, plan.tags, there.billing == "metered")
    for each in accounts(settings.budgets, use):
        spent = await _spent(each, ledger)
        if percent(each.budget.limit, spent) >= 100:
            raise _over(each, spent, settings, caller.client)


async def standing(budgets: Iterable[Budget], ledger: Ledger) -> list[tuple[Account, Spent]]:
    """How every budget stands now; one per session once for each session that it has been asked for."""
    now = time.time()
    open_now = [account(budget, now) for budget in budgets if budget.per is not Per.SESSION]
    known = [(each, await _spent(each, ledger)) for each in open_now]
    return known + [(each, spent) for each, spent in ledger.spending.sessions() if each.budget in budgets]


def counts(each: Account, session: str, gateway: str, tags: Collection[str]) -> bool:
    """Whether this account counts what the session does there."""
    budget = each.budget
    return each.session in {None, session} and budget.gateway in {None, gateway} and (budget.tag is None or budget.tag in tags)


async def _spent(each: Account, ledger: Ledger) -> Spent:
    known = ledger.spending.of(each)
    if known is not None and not ledger.is_behind:
        return known
    # Answered after all that was closed before.  No limit of ours: the ledger's thread always answers, after a second at the latest where the file is locked.
    return await asyncio.wrap_future(ledger.balance(each))


def _over(spent_up: Account, spent: Spent, settings: Settings, client: str | None) -> Refusal:
    budget = spent_up.budget
    if budget.per is Per.SESSION:
        again = "a new session has its own"
    else:
        again = f"it begins anew at {datetime.fromtimestamp(spent_up.until):%Y-%m-%d %H:%M}"  # noqa: DTZ006 -- the local time is meant
    return Refusal(
        "over_budget",
        f"the budget of {named(budget)} is spent: {amount(spent.of(budget.limit), budget.limit.unit)} so far",
        f"{again}; to go on now, raise it under `budgets:` in {settings.path}",
        status=429 if client == _SHOWS_429 else None,
    )
