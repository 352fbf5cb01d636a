"""The ledger's columns: what each is called, what it holds, in which unit, how it sums and where it is shown.

This table is the only place that says so.  `hours`, the sums per quarter, reports, export and the table in `docs/ledger.md` are made from it; the
migrations in `schema.py` and the fields of `Row` are checked against it by `tests/ledger/test_columns.py`.  A new column is a line here,
a migration, and a field of `Row` with the assignment that fills it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Sums(StrEnum):
    """What becomes of a column when requests are summed up."""

    APART = "apart"  # requests that differ in it are never summed together
    ADDED = "added"  # the sum of what is known, NULL if nothing is
    DROPPED = "dropped"


class Column(NamedTuple):
    """One column of the table `requests`.

    `sums` says what becomes of it in `hours`; with `in_reports` reports can group by it (`APART`) or show its sum (`ADDED`).  `type` is
    the Python type of an exported value: SQLite keeps a bool as an integer and a list as JSON.
    """

    name: str
    type: type
    meaning: str
    unit: str = ""
    sums: Sums = Sums.DROPPED
    in_reports: bool = False
    is_required: bool = False


_APART, _ADDED = Sums.APART, Sums.ADDED

COLUMNS = (
    Column("id", str, "UUIDv7, rising within an instance", is_required=True),
    Column("instance", str, "the process that wrote the row", is_required=True),
    Column("started_at", str, "when the request went out", "UTC, ISO 8601", is_required=True),
    Column("finished_at", str, "when it ended; empty while it is under way", "UTC, ISO 8601"),
    Column("kind", str, "`inference`, `count` (tokens) or `other`", sums=_APART, is_required=True),
    Column("session", str, "the agent's session", sums=_APART, in_reports=True, is_required=True),
    Column("run", str, "the `sidecar run` that started the agent", sums=_APART),
    Column("agent", str, "the subagent; empty for the main agent", sums=_APART, in_reports=True),
    Column("parent_agent", str, "the agent that started the subagent", sums=_APART),
    Column("gateway", str, "the gateway's name in the configuration", sums=_APART, in_reports=True, is_required=True),
    Column("tags", list, "the tags of run, gateway and request", sums=_APART, in_reports=True, is_required=True),
    Column("project", str, "the working folder's name", sums=_APART, in_reports=True),
    Column("repo", str, "the git remote", sums=_APART, in_reports=True),
    Column("branch", str, "the git branch", sums=_APART, in_reports=True),
    Column("client", str, "the product in the agent's `User-Agent`", sums=_APART, in_reports=True),
    Column("method", str, "the HTTP method", is_required=True),
    Column("path", str, "the path of the request", is_required=True),
    Column("model_requested", str, "the model that the agent asked for", sums=_APART),
    Column("model_sent", str, "the model that the gateway was asked for", sums=_APART),
    Column("model_served", str, "the model that the reply names", sums=_APART),
    Column("stream", bool, "whether the agent asked for a stream"),
    Column("status", int, "the gateway's HTTP status; empty if none came"),
    Column("outcome", str, "how it ended: `complete`, `upstream_error`, `client_cancelled`, `timeout`, …", sums=_APART),
    Column("error_type", str, "the error's type or code", sums=_APART),
    Column("stop_reason", str, "why the model stopped"),
    Column("message_id", str, "the reply's id"),
    Column("request_id", str, "the gateway's id of the request"),
    Column("input_tokens", int, "fresh input, neither read from a cache nor written to one", "tokens", _ADDED, in_reports=True),
    Column("output_tokens", int, "output, thinking included", "tokens", _ADDED, in_reports=True),
    Column("cache_read_tokens", int, "input read from a cache", "tokens", _ADDED, in_reports=True),
    Column("cache_write_5m_tokens", int, "input written to a cache for 5 minutes", "tokens", _ADDED, in_reports=True),
    Column("cache_write_1h_tokens", int, "input written to a cache for an hour", "tokens", _ADDED, in_reports=True),
    Column("thinking_tokens", int, "the part of the output that is thinking", "tokens", _ADDED),
    Column("web_search_requests", int, "searches that the gateway made", "searches", _ADDED),
    Column("web_fetch_requests", int, "pages that the gateway fetched", "fetches", _ADDED),
    Column("iterations", str, "what was billed beside the top level", "JSON"),
    Column("service_tier", str, "the tier that the reply names"),
    Column("speed", str, "the speed that the reply names"),
    Column("inference_geo", str, "where the model ran"),
    Column("cache_status", str, "the gateway's own cache"),
    Column("usage_source", str, "`final`, `partial` or `none`: whether the reply named its tokens", sums=_APART),
    Column("billing", str, "`metered` or `subscription`", sums=_APART, in_reports=True, is_required=True),
    Column("cost_nanousd", int, "the cost by the price table; empty if unknown", "10⁻⁹ $", _ADDED, in_reports=True),
    Column("price_source", str, "the table and the entry that the cost is from, or why there is none"),
    Column("reported_cost_usd", float, "the cost that the gateway named", "$", _ADDED),
    Column("bytes_in", int, "the request's body", "bytes", _ADDED),
    Column("bytes_out", int, "the reply's body", "bytes", _ADDED),
    Column("first_byte_ms", float, "until the reply's first byte", "ms", _ADDED),
    Column("duration_ms", float, "until the end", "ms", _ADDED),
    Column("retry_count", int, "the agent's own count of retries"),
)

#: What a row of `hours` has beside the columns that it shares with `requests`: its times, and its numbers of requests.
_HOURS_TIMES = (
    Column("started_at", str, "the beginning of the hour", "UTC, ISO 8601", is_required=True),
    Column("first", str, "the first start in the hour", "UTC, ISO 8601", is_required=True),
    Column("last", str, "the last start in the hour", "UTC, ISO 8601", is_required=True),
)
_HOURS_COUNTS = (
    Column("requests", int, "how many requests the row stands for", is_required=True),
    Column("priced_requests", int, "those with a cost", is_required=True),
    Column("timed_requests", int, "those with a first byte", is_required=True),
)

NAMES = tuple(column.name for column in COLUMNS)
APART = tuple(column.name for column in COLUMNS if column.sums is Sums.APART)
ADDED = tuple(column.name for column in COLUMNS if column.sums is Sums.ADDED)
HOURS = (
    *_HOURS_TIMES,
    *(column for column in COLUMNS if column.sums is Sums.APART),
    *_HOURS_COUNTS,
    *(column for column in COLUMNS if column.sums is Sums.ADDED),
)

#: What reports group by and add up as it is.
GROUPED = tuple(column.name for column in COLUMNS if column.in_reports and column.sums is Sums.APART)
SUMMED = tuple(column.name for column in COLUMNS if column.in_reports and column.sums is Sums.ADDED)
#: The kinds of tokens, which never overlap.
TOKENS = tuple(column.name for column in COLUMNS if column.in_reports and column.unit == "tokens")

#: The tables' columns by name.
TABLES = {"requests": COLUMNS, "hours": HOURS}


def as_markdown() -> str:
    """The columns as `docs/ledger.md` shows them."""
    head = "| column | unit | what it is |\n|---|---|---|\n"
    return head + "".join(f"| `{column.name}` | {column.unit} | {column.meaning} |\n" for column in COLUMNS)
