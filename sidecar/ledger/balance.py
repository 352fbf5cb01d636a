"""What the ledger says has been spent of an account: by its sums per quarter of an hour, in which every local day begins, and its hours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sidecar.budgets.budget import Spent, Unit
from sidecar.clock import moment
from sidecar.ledger.quarters import SECONDS

if TYPE_CHECKING:
    import sqlite3

    from sidecar.budgets.budget import Account

_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def balance(connection: sqlite3.Connection, account: Account) -> Spent:
    budget = account.budget
    given: dict[str, str | float | None] = {"session": account.session, "gateway": budget.gateway, "tag": budget.tag}
    tests = [f"{name} = :{name}" for name in ("session", "gateway") if given[name] is not None]
    if budget.tag is not None:
        tests.append(":tag IN (SELECT value FROM json_each(tags))")
    if budget.limit.unit is Unit.DOLLARS:
        tests.append("billing = 'metered'")
    in_quarters, in_hours = [*tests, "1"], [*tests, "kind = 'inference'"]
    if math.isfinite(account.since):
        given |= {"first": account.since // SECONDS, "end": account.until // SECONDS}
        given |= {"since": moment(account.since), "until": moment(account.until)}
        in_quarters.append("quarter >= :first AND quarter < :end")
        in_hours.append("started_at >= :since AND started_at < :until")
    columns = ", ".join((*_TOKENS, "cost_nanousd", "requests", "priced_requests"))
    both = " UNION ALL ".join(
        f"SELECT {columns} FROM {table} WHERE {' AND '.join(of_table)}"  # noqa: S608 -- made of this package's own names
        for table, of_table in (("quarters", in_quarters), ("hours", in_hours))
    )
    tokens = " + ".join(f"coalesce(sum({name}), 0)" for name in _TOKENS)
    query = f"SELECT coalesce(sum(cost_nanousd), 0), {tokens}, coalesce(sum(requests - priced_requests), 0) FROM ({both})"  # noqa: S608 -- see above
    return Spent(*connection.execute(query, given).fetchone())
