"""What the ledger says has been spent of an account.  Every local day begins with a quarter of an hour, so sums per quarter suffice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sidecar.budgets.budget import Spent, Unit
from sidecar.ledger.columns import TOKENS
from sidecar.ledger.sums import ended_requests

if TYPE_CHECKING:
    import sqlite3

    from sidecar.budgets.budget import Account

_TOKENS = " + ".join(f"coalesce(sum({name}), 0)" for name in TOKENS)
_SPENT = f"coalesce(sum(cost_nanousd), 0), {_TOKENS}, coalesce(sum(requests - priced_requests), 0)"


def balance(connection: sqlite3.Connection, account: Account) -> Spent:
    """The sum of the account's ended requests."""
    budget = account.budget
    only = {"session": account.session, "gateway": budget.gateway, "billing": "metered" if budget.limit.unit is Unit.DOLLARS else None}
    since, until = (when if math.isfinite(when) else None for when in (account.since, account.until))
    ended, values = ended_requests(since, until, {name: value for name, value in only.items() if value is not None})
    tagged = "" if budget.tag is None else "WHERE ? IN (SELECT value FROM json_each(tags))"
    tag = [] if budget.tag is None else [budget.tag]
    return Spent(*connection.execute(f"SELECT {_SPENT} FROM ({ended}) {tagged}", [*values, *tag]).fetchone())  # noqa: S608 -- this package's own names
