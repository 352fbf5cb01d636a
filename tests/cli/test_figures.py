from __future__ import annotations

import pytest

from sidecar.launch.figures import count, dollars, duration, percent, rate


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
