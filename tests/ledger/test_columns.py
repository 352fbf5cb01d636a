"""Everything that names the ledger's columns agrees with `columns.py`."""

from __future__ import annotations

import re
import sqlite3
import typing
from contextlib import closing as at_end_close
from pathlib import Path

import pytest

from sidecar.ledger import columns, schema
from sidecar.ledger.quarters import COLUMNS as SUMMED_UP
from sidecar.ledger.reports import KEYS, report
from sidecar.ledger.row import Row

ROOT = Path(__file__).parent.parent.parent
SQL_TYPES = {str: "TEXT", list: "TEXT", int: "INTEGER", bool: "INTEGER", float: "REAL"}


@pytest.mark.parametrize("table", columns.TABLES)
def test_the_migrations_make_these_columns(tmp_path, table):
    with at_end_close(schema.connect(str(tmp_path / "ledger.db"))) as connection:
        found = {
            name: (kind, bool(is_not_null or is_key))
            for _, name, kind, is_not_null, _, is_key in connection.execute(f"PRAGMA table_info({table})")
        }
    assert found == {column.name: (SQL_TYPES[column.type], column.is_required) for column in columns.TABLES[table]}


def test_a_row_has_a_field_for_each_in_their_order():
    hints = typing.get_type_hints(Row)
    assert Row.__struct_fields__ == columns.NAMES
    for column in columns.COLUMNS:
        kind = str if column.type is list else column.type
        assert hints[column.name] == (kind if column.is_required else kind | None), column.name


def test_names_are_unique_and_every_column_says_what_it_is():
    assert len(set(columns.NAMES)) == len(columns.COLUMNS)
    for column in (*columns.COLUMNS, *columns.HOURS):
        assert column.meaning
        assert not column.in_reports or column.sums is not columns.Sums.DROPPED
        assert column.unit or column.type is not float


def test_reports_group_by_and_add_up_what_says_so():
    assert {*columns.GROUPED, *columns.SUMMED} < set(SUMMED_UP)
    assert set(KEYS) - {"model", "day", "hour", "tag"} == {*columns.GROUPED} - {"tags", "billing"}


def test_the_documents_show_them_all():
    page = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert columns.as_markdown() in page
    assert len(re.findall(r"^\| column \| unit \|", page, re.MULTILINE)) == 1


def test_a_ledger_without_a_newer_column_is_read_with_that_column_unknown(tmp_path):
    """As a newer program reads it before its daemon has been restarted."""
    path = str(tmp_path / "ledger.db")
    with at_end_close(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE requests (id TEXT, started_at TEXT, finished_at TEXT, kind TEXT, session TEXT, tags TEXT)")
        connection.execute(
            "INSERT INTO requests VALUES ('1', '2026-11-01T10:00:00.000Z', '2026-11-01T10:00:01.000Z', 'inference', 's', '[]')"
        )
        connection.commit()
    (row,) = report(path, "request")["rows"]
    assert (row["session"], row["cost_nanousd"], tuple(row)) == ("s", None, columns.NAMES)
    assert report(path, "session")["total"]["requests"] == 1
