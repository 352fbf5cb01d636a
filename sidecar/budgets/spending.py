"""What has been spent of each account, in memory.

Changed in the ledger's thread alone, in the order of its rows; read in any.  Nothing here is lost for good: an account that is not
known is summed up from the ledger when somebody asks for it, which is how it begins after a start, a reload, at midnight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.budgets.budget import Account, Spent, passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.budgets.budget import Use

#: Accounts of sessions that are kept; the oldest are summed up anew when they are asked for again.
KEPT_SESSIONS = 256


class Spending:
    """`on_near(account, spent, threshold)` hears once when a threshold is passed."""

    def __init__(self, on_near: Callable[[Account, Spent, int], None] = lambda *_: None) -> None:
        self._on_near = on_near
        self._spent: dict[Account, Spent] = {}

    @property
    def has_accounts(self) -> bool:
        """Without any, nothing has to be added."""
        return bool(self._spent)

    def of(self, account: Account) -> Spent | None:
        """None: not known, the ledger has to be asked."""
        return self._spent.get(account)

    def sessions(self) -> list[tuple[Account, Spent]]:
        """The accounts of sessions that have been asked for."""
        return [(account, spent) for account, spent in list(self._spent.items()) if account.session is not None]

    def begin(self, account: Account, spent: Spent) -> None:
        """From what the ledger holds."""
        over = [old for old in self._spent if old.until <= account.since]
        sessions = [old for old in self._spent if old.session is not None]
        for old in (*over, *sessions[: max(len(sessions) - KEPT_SESSIONS + 1, 0)]):
            del self._spent[old]
        self._spent[account] = spent

    def add(self, use: Use, more: Spent) -> None:
        """A request has ended, or its price has been found."""
        for account, before in self._spent.items():
            if account.takes(use):
                after = self._spent[account] = before + more
                if threshold := passed(account.budget.limit, before, after):
                    self._on_near(account, after, threshold)

    def forget(self) -> None:
        """Somebody else has written to the ledger."""
        self._spent.clear()
