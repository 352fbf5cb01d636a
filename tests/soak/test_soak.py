"""A soak of seconds: what `scripts/soak` does for minutes or hours."""

from __future__ import annotations

import pytest
from soak.kinds import KINDS
from soak.soak import Soak


@pytest.mark.timeout(90)
async def test_a_short_soak_finds_no_difference(tmp_path):
    soak = Soak(seconds=5, agents=6, seed=1)
    await soak.run(tmp_path)
    assert soak.differences == []
    assert soak.rows_compared > 50
    assert soak.asked.keys() >= KINDS.keys() - {"silent", "large", "bad pass"}
    assert "differences      0" in soak.table()
