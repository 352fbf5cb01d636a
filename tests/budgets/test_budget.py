from __future__ import annotations

import time
from datetime import datetime

import pytest

from sidecar.budgets import spending
from sidecar.budgets.budget import Budget, Limit, Per, Spent, Unit, Use, account, accounts, passed, percent
from sidecar.budgets.spending import Spending
from sidecar.budgets.words import amount, left, named, told
from sidecar.config import scalars

TOKENS = Limit(1000, Unit.TOKENS)
DOLLARS = Limit(5 * 10**9, Unit.DOLLARS)


@pytest.fixture
def zone(monkeypatch):
    def set_to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


def use(**differs) -> Use:
    return Use(**{"at": 0.0, "session": "s1", "gateway": "vercel", "tags": ("laptop",), "metered": True} | differs)


def local(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("per", "at", "since", "until"),
    [
        (Per.DAY, "2026-11-21T00:00", "2026-11-21", "2026-11-22"),
        (Per.DAY, "2026-11-21T23:59:59.999", "2026-11-21", "2026-11-22"),
        (Per.DAY, "2026-03-29T12:00", "2026-03-29", "2026-03-30"),  # 23 hours in Berlin
        (Per.DAY, "2026-10-25T02:30", "2026-10-25", "2026-10-26"),  # 25 hours
        (Per.WEEK, "2026-11-22T23:00", "2026-11-16", "2026-11-23"),
        (Per.WEEK, "2026-11-23T00:00", "2026-11-23", "2026-11-30"),
        (Per.WEEK, "2027-01-01T08:00", "2026-12-28", "2027-01-04"),
        (Per.MONTH, "2026-12-31T23:59", "2026-12-01", "2027-01-01"),
        (Per.MONTH, "2028-02-29T10:00", "2028-02-01", "2028-03-01"),
    ],
)
@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia"])
def test_days_weeks_and_months_begin_at_the_local_midnight(zone, name, per, at, since, until):
    zone(name)
    found = account(Budget(per, TOKENS), local(at))
    assert (found.since, found.until, found.session) == (local(since), local(until), None)
    assert found.takes(use(at=local(at)))
    assert found.takes(use(at=local(since)))
    assert not found.takes(use(at=local(until)))


def test_a_sessions_account_has_no_end():
    found = account(Budget(Per.SESSION, TOKENS), 1e9, "s1")
    assert found.takes(use(at=2e9))
    assert not found.takes(use(session="s2"))


@pytest.mark.parametrize(
    ("budget", "request_", "covered"),
    [
        (Budget(Per.DAY, TOKENS), {}, True),
        (Budget(Per.DAY, TOKENS, gateway="vercel"), {}, True),
        (Budget(Per.DAY, TOKENS, gateway="edgee"), {}, False),
        (Budget(Per.DAY, TOKENS, tag="laptop"), {"tags": ("night", "laptop")}, True),
        (Budget(Per.DAY, TOKENS, tag="laptop"), {"tags": ()}, False),
        (Budget(Per.DAY, TOKENS, gateway="vercel", tag="night"), {}, False),
        (Budget(Per.DAY, TOKENS), {"metered": False}, True),
        (Budget(Per.DAY, DOLLARS), {"metered": False}, False),
    ],
)
def test_a_budget_covers_what_it_names(budget, request_, covered):
    assert bool(accounts([budget], use(**request_))) is covered


@pytest.mark.parametrize(
    ("before", "after", "threshold"),
    [(0, 749, None), (0, 750, 75), (749, 751, 75), (750, 751, None), (0, 950, 95), (750, 950, 95), (951, 2000, None), (0, 5000, 95)],
)
def test_each_threshold_is_passed_once(before, after, threshold):
    assert passed(TOKENS, Spent(tokens=before), Spent(tokens=after)) == threshold


def test_shares_are_rounded_down_so_that_a_hundred_is_spent():
    assert percent(TOKENS, Spent(tokens=999)) == 99
    assert percent(TOKENS, Spent(tokens=1000)) == 100
    assert percent(DOLLARS, Spent(nanousd=10**10)) == 200


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, Unit.DOLLARS, "$0.00"),
        (4_200_000, Unit.DOLLARS, "$0.0042"),
        (5_120_000_000, Unit.DOLLARS, "$5.12"),
        (1_234_500_000_000, Unit.DOLLARS, "$1,234.50"),
        (950, Unit.TOKENS, "950 tokens"),
        (12_500, Unit.TOKENS, "12.5k tokens"),
        (1_999_999, Unit.TOKENS, "1.99M tokens"),
        (2_000_000, Unit.TOKENS, "2M tokens"),
    ],
)
def test_amounts_in_words(value, unit, text):
    assert amount(value, unit) == text


def test_what_is_left_in_words_is_never_below_nothing():
    assert left(Budget(Per.DAY, DOLLARS), Spent(nanousd=3_800_000_000)) == "$1.20 of $5.00 left today"
    assert left(Budget(Per.SESSION, TOKENS), Spent(tokens=5000)) == "0 of 1k tokens left in this session"
    assert named(Budget(Per.WEEK, DOLLARS, "vercel", "night")) == "$5.00 per week on gateway vercel with tag night"


def test_what_status_tells(zone):
    zone("Europe/Berlin")
    found = account(Budget(Per.DAY, DOLLARS, tag="night"), local("2026-11-21T09:00"))
    assert told(found, Spent(nanousd=4_000_000_000, tokens=7, unpriced=2)) == {
        "budget": "$5.00 per day with tag night",
        "per": "day",
        "gateway": None,
        "tag": "night",
        "session": None,
        "until": "2026-11-21T23:00:00Z",
        "limit_usd": 5.0,
        "spent_usd": 4.0,
        "unpriced_requests": 2,
        "percent": 80,
        "state": "near",
        "left": "$1.00 of $5.00 left today",
    }


@pytest.mark.parametrize("text", ["$5.00", "$0.05", "$0.000000001", "$100.00", "2M tokens", "1500k tokens", "7 tokens"])
def test_a_limit_is_written_as_it_is_read(text):
    assert scalars.limit_text(scalars.limit(text)) == text


def test_spending_counts_in_every_account_that_takes_the_request():
    day, session = (account(Budget(per, TOKENS), 5000.0, "s1") for per in (Per.DAY, Per.SESSION))
    amounts = Spending()
    assert amounts.of(day) is None
    amounts.begin(day, Spent(tokens=10))
    amounts.begin(session, Spent())
    amounts.add(use(at=5000.0), Spent(tokens=5, unpriced=1))
    amounts.add(use(at=5000.0, session="s2"), Spent(tokens=1, unpriced=1))
    amounts.add(use(at=5000.0), Spent(nanousd=9, unpriced=-1))
    assert amounts.of(day) == Spent(9, 16, 1)
    assert amounts.of(session) == Spent(9, 5, 0)
    assert amounts.sessions() == [(session, Spent(9, 5, 0))]


def test_a_sum_that_was_forgotten_is_asked_for_again():
    day = account(Budget(Per.DAY, TOKENS), 5000.0)
    amounts = Spending()
    amounts.begin(day, Spent(tokens=10))
    amounts.forget()
    assert (amounts.of(day), amounts.has_accounts) == (None, False)
    amounts.begin(day, Spent(tokens=3))
    assert amounts.of(day) == Spent(tokens=3)


def test_after_rows_are_lost_a_sum_never_falls_below_what_was_known():
    day, session = (account(Budget(per, TOKENS), 5000.0, "s1") for per in (Per.DAY, Per.SESSION))
    amounts = Spending(lambda *_: pytest.fail("what nobody asks for warns nobody"))
    amounts.begin(day, Spent(9, 700, 1))
    amounts.begin(session, Spent(9, 700, 1))
    amounts.forget(rows_are_lost=True)
    amounts.add(use(at=5000.0), Spent(tokens=60))
    assert (amounts.of(day), amounts.sessions(), amounts.has_accounts) == (None, [], True)
    amounts.begin(day, Spent(20, 3, 0))
    assert amounts.of(day) == Spent(20, 760, 1)
    amounts.forget()
    amounts.begin(day, Spent(21, 4, 0))
    assert amounts.of(day) == Spent(21, 760, 1)


def test_days_that_are_over_and_the_oldest_sessions_are_let_go():
    budget = Budget(Per.DAY, TOKENS)
    yesterday, today = account(budget, 1e9), account(budget, 1e9 + 86400)
    amounts = Spending()
    amounts.begin(yesterday, Spent())
    sessions = [account(Budget(Per.SESSION, TOKENS), 0, f"s{number}") for number in range(spending.KEPT_SESSIONS + 1)]
    for each in sessions:
        amounts.begin(each, Spent())
    assert amounts.of(yesterday) is not None
    amounts.begin(today, Spent())
    assert amounts.of(yesterday) is None
    assert amounts.of(sessions[0]) is None
    assert amounts.of(sessions[-1]) is not None
    assert len(amounts.sessions()) <= spending.KEPT_SESSIONS
