"""What has been spent of each account, in memory.

Only the ledger's thread changes it, in the order of the ledger's rows; any thread reads it.  An account that is not known is summed up
from the ledger when a request asks for it: after a start, a reload, at midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.budgets.budget import Account, Spent, passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.budgets.budget import Use

#: Accounts of sessions that are kept.  Older ones are summed up anew when they are asked for again.
KEPT_SESSIONS = 256


@dataclass(slots=True)
class _Sum:
    """`is_current`: no sum from the ledger is due.  `is_minimum`: the ledger has lost rows, so its own sum may be too small."""

    spent: Spent
    is_current: bool = True
    is_minimum: bool = False


class Spending:
    """`on_near(account, spent, threshold)` is called once when a threshold is passed."""

    def __init__(self, on_near: Callable[[Account, Spent, int], None] = lambda *_: None) -> None:
        self._on_near = on_near
        self._sums: dict[Account, _Sum] = {}

    @property
    def has_accounts(self) -> bool:
        """False: no request has to be added."""
        return bool(self._sums)

    def of(self, account: Account) -> Spent | None:
        """None: not known, the ledger has to be asked."""
        known = self._sums.get(account)
        return known.spent if known is not None and known.is_current else None

    def sessions(self) -> list[tuple[Account, Spent]]:
        """The accounts of sessions that have been asked for."""
        return [(account, known.spent) for account, known in list(self._sums.items()) if account.session is not None and known.is_current]

    def begin(self, account: Account, spent: Spent) -> None:
        """Count on from `spent`, which the ledger has summed up, or from what is known already if the ledger has lost rows."""
        known = self._sums.pop(account, None)
        over = [old for old in self._sums if old.until <= account.since]
        sessions = [old for old in self._sums if old.session is not None]
        for old in (*over, *sessions[: max(len(sessions) - KEPT_SESSIONS + 1, 0)]):
            del self._sums[old]
        has_minimum = known is not None and known.is_minimum
        self._sums[account] = _Sum(spent.at_least(known.spent) if known is not None and has_minimum else spent, is_minimum=has_minimum)

    def add(self, use: Use, more: Spent) -> None:
        """A request has ended, or its price has been found."""
        for account, known in self._sums.items():
            if account.takes(use):
                before, known.spent = known.spent, known.spent + more
                if known.is_current and (threshold := passed(account.budget.limit, before, known.spent)):
                    self._on_near(account, known.spent, threshold)

    def forget(self, *, rows_are_lost: bool = False) -> None:
        """Sum every account up anew.  With `rows_are_lost`, what is known now stays the least that has been spent."""
        if rows_are_lost:
            for known in self._sums.values():
                known.is_minimum = True
        self._sums = {
            account: _Sum(known.spent, is_current=False, is_minimum=True) for account, known in self._sums.items() if known.is_minimum
        }
