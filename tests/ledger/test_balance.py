from __future__ import annotations

import sys
from contextlib import closing as at_end_close
from pathlib import Path

import pytest

from sidecar.budgets.budget import Account, Budget, Limit, Per, Spent, Unit, account
from sidecar.ledger import quarters, schema
from sidecar.ledger.balance import balance
from sidecar.ledger.entry import Kind
from sidecar.ledger.writer import Ledger

sys.path.insert(0, str(Path(__file__).parent))
from exchanges import NOON, closing, opening, reading

#: What one request of `exchanges.py` uses and costs.
TOKENS, COST = 5317, 3_210_000


@pytest.fixture(params=["rows", "sums"])
def path(request, tmp_path):
    """By the token, through a subscription, without a price, on another gateway without tags, counting tokens, still open."""
    path = str(tmp_path / "ledger.db")
    ledger = Ledger(path, "one", print)
    ledger.start()
    for number, (differs, reads) in enumerate(
        [
            ({}, reading()),
            ({"billing": "subscription"}, reading()),
            ({"session": "s2"}, reading(model="house-small")),
            ({"gateway": "vercel", "tags": (), "started_at": NOON + 1800}, reading()),
            ({"kind": Kind.COUNT}, reading()),
        ]
    ):
        ledger.open(opening(number, **differs))
        ledger.close(closing(number, reading=reads))
    ledger.open(opening(9))
    ledger.stop()
    with at_end_close(schema.connect(path)) as connection:
        while request.param == "sums" and quarters.sum_up(connection, NOON + 1e9, 96):
            pass
    return path


def spent(path: str, per: Per, unit: Unit, **budget: str) -> Spent:
    with at_end_close(schema.connect(path)) as connection:
        return balance(connection, account(Budget(per, Limit(1, unit), **budget), NOON, "s1"))


def test_tokens_count_whoever_pays_and_dollars_only_what_is_billed_by_the_token(path):
    assert spent(path, Per.DAY, Unit.TOKENS) == Spent(3 * COST, 4 * TOKENS, 1)
    assert spent(path, Per.DAY, Unit.DOLLARS) == Spent(2 * COST, 3 * TOKENS, 1)


@pytest.mark.parametrize(
    ("per", "budget", "expected"),
    [
        (Per.SESSION, {}, Spent(2 * COST, 2 * TOKENS, 0)),
        (Per.DAY, {"gateway": "vercel"}, Spent(COST, TOKENS, 0)),
        (Per.DAY, {"tag": "laptop"}, Spent(COST, 2 * TOKENS, 1)),
        (Per.DAY, {"tag": "lap"}, Spent()),
        (Per.DAY, {"tag": "laptop", "gateway": "vercel"}, Spent()),
    ],
)
def test_an_account_counts_its_session_gateway_and_tag(path, per, budget, expected):
    assert spent(path, per, Unit.DOLLARS, **budget) == expected


def test_a_period_includes_its_beginning_and_not_its_end(path):
    begin = NOON // 900 * 900
    budget = Budget(Per.DAY, Limit(1, Unit.TOKENS))
    with at_end_close(schema.connect(path)) as connection:
        found = [balance(connection, Account(budget, since, since + 1800)).tokens for since in (begin - 1800, begin, begin + 1800)]
    assert found == [0, 3 * TOKENS, TOKENS]
