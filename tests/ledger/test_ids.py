from __future__ import annotations

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from sidecar.ledger.ids import Ids


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=50))
def test_ids_rise_whatever_the_clock_does(moments):
    ids = Ids()
    made = [ids.next(moment) for moment in moments]
    assert made == sorted(set(made))


def test_ids_rise_within_one_millisecond():
    ids = Ids()
    made = [ids.next(1_795_253_400_250) for _ in range(5000)]
    assert made == sorted(set(made))


def test_an_id_is_a_version_7_uuid_that_tells_its_moment():
    made = UUID(Ids().next(1_795_253_400_250))
    assert (made.version, made.variant, made.int >> 80) == (7, RFC_4122, 1_795_253_400_250)
