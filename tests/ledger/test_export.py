"""The columns, types and values that `exported` hands on; formats and files are in `tests/cli/test_export.py`."""

from __future__ import annotations

import sys
from contextlib import closing as at_end_close
from pathlib import Path

from sidecar.clock import moment
from sidecar.ledger import columns, hours, schema
from sidecar.ledger.export import exported
from sidecar.ledger.writer import Ledger

sys.path.insert(0, str(Path(__file__).parent))
from exchanges import NOON, closing, opening


def test_every_column_has_a_type_and_every_value_is_of_it(tmp_path):
    path = str(tmp_path / "ledger.db")
    ledger = Ledger(path, "one", print)
    ledger.start()
    for number, stream in enumerate((True, True, False, None)):
        ledger.open(opening(number, started_at=NOON + number * 3600, stream=stream))
        ledger.close(closing(number))
    ledger.stop()
    with at_end_close(schema.connect(path)) as connection:
        assert hours.roll_up(connection, moment(NOON + 3600), moment(NOON + 1e9))
    with exported(path) as (types, rows):
        found = list(rows)
    assert set(types) == {"table", *columns.NAMES, *(column.name for column in columns.HOURS)}
    assert {name: types[name] for name in ("table", "tags", "stream", "requests", "first_byte_ms", "outcome")} == {
        "table": str, "tags": list, "stream": bool, "requests": int, "first_byte_ms": float, "outcome": str,
    }  # fmt: skip
    assert [row["table"] for row in found] == ["hours", "requests", "requests", "requests"]
    assert [row.get("stream", "none") for row in found] == ["none", True, False, None]
    assert [tuple(row) for row in found[:2]] == [("table", *(column.name for column in columns.HOURS)), ("table", *columns.NAMES)]
    for row in found:
        assert all(value is None or type(value) is types[name] for name, value in row.items())
