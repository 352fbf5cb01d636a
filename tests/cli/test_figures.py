from __future__ import annotations

import pytest

from sidecar.launch.figures import count, dollars, duration, percent, rate, total_cost


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (count(None), "?"),
        (count(0), "0"),
        (count(999_999), "999,999"),
        (count(1_234_567), "1.23M"),
        (dollars(None), "?"),
        (dollars(0.00042), "$0.0004"),
        (dollars(1234.5), "$1,234.50"),
        (percent(None), "?"),
        (percent(0.0), "0%"),
        (percent(0.0001), "<1%"),
        (percent(0.9999), "99%"),
        (percent(1.0), "100%"),
        (rate(None), "?"),
        (rate(3.14), "3.1"),
        (rate(177.4), "177"),
        (duration(None), "?"),
        (duration(999.4), "999ms"),
        (duration(999.6), "1.0s"),
        (duration(59_949), "59.9s"),
        (duration(59_951), "1m00s"),
        (duration(3_599_000), "59m59s"),
        (duration(3_720_000), "1h02m"),
    ],
)
def test_a_number_as_people_read_it(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(
    ("cost", "unpriced", "subscription", "shown"),
    [
        (1.25, 0, None, "$1.25"),
        (1.25, 2, None, "$1.25+?"),
        (1.25, 0, 0.5, "~$1.25"),
        (1.25, 1, 1.25, "~$1.25+?"),
        (None, 3, None, "?"),
    ],
)
def test_a_sum_of_costs_says_what_is_unknown_and_what_nobody_bills(cost, unpriced, subscription, shown):
    assert total_cost({"cost_usd": cost, "unpriced_requests": unpriced, "subscription_cost_usd": subscription}) == shown
