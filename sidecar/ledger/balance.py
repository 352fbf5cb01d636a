"""What the ledger says has been spent of an account.  Hours and single rows alike, of `inference`, once they have ended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sidecar.budgets.budget import Spent, Unit
from sidecar.ledger.hours import BOTH
from sidecar.ledger.row import moment

if TYPE_CHECKING:
    import sqlite3

    from sidecar.budgets.budget import Account

_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def balance(connection: sqlite3.Connection, account: Account) -> Spent:
    budget = account.budget
    given = {"session": account.session, "gateway": budget.gateway, "tag": budget.tag}
    tests = ["kind = 'inference'", "outcome IS NOT NULL"]
    if account.session is not None:
        tests.append("session = :session")
    if math.isfinite(account.since):
        given |= {"since": moment(account.since), "until": moment(account.until)}
        tests.append("started_at >= :since AND started_at < :until")
    if budget.gateway is not None:
        tests.append("gateway = :gateway")
    if budget.tag is not None:
        tests.append(":tag IN (SELECT value FROM json_each(tags))")
    if budget.limit.unit is Unit.DOLLARS:
        tests.append("billing = 'metered'")
    tokens = " + ".join(f"coalesce(sum({name}), 0)" for name in _TOKENS)
    query = f"SELECT coalesce(sum(cost_nanousd), 0), {tokens}, coalesce(sum(requests - priced_requests), 0) FROM ({BOTH}) WHERE {{}}"  # noqa: S608 -- made of this package's own names
    nanousd, used, unpriced = connection.execute(query.format(" AND ".join(tests)), given).fetchone()
    return Spent(nanousd, used, unpriced)
