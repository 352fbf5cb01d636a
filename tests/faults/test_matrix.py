"""The fault matrix: every cell as promised."""

from __future__ import annotations

import pytest
from faults.stage import judged
from faults.table import cells

CELLS = tuple(cells())


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_what_is_promised_for_a_break_holds(cell, tmp_path, ca_file):
    verdict = await judged(cell, tmp_path / "home", ca_file)
    assert verdict.differences == ()


def test_the_cells_are_different_ones():
    assert len({str(cell) for cell in CELLS}) == len(CELLS) >= 150
