"""`sidecar usage`: what was used, as a table, JSON or CSV.  Reads the ledger itself, so the daemon may be down."""

from __future__ import annotations

import csv
import json
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from sidecar.cli.reports.sessions import listed, moment, short_names
from sidecar.cli.reports.story import print_story
from sidecar.cli.reports.tables import plain, print_lines, print_table
from sidecar.errors import UsageError
from sidecar.launch.figures import SUBSCRIPTION, UNKNOWN, count, dollars, duration, percent, rate, total_cost, unknown_costs
from sidecar.ledger.period import moment_of
from sidecar.ledger.reports import report
from sidecar.ledger.story import session_named, story

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sidecar.launch.places import Places

    Row = Mapping[str, object]

#: A tenth of a cent: less than that is rounding.
_WORTH_A_NOTE_USD = 0.001
#: Full-width forms are read as formulas, too.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def usage(args: argparse.Namespace) -> int:
    if args.json and args.csv:
        raise UsageError("--json and --csv are two forms of the same", "leave one of them out")
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"not a number of rows: {args.limit}", "sidecar usage --limit 20")
    now = datetime.now().astimezone()
    # One session's story is wanted whole; everything else is about today unless it says otherwise.
    since = moment_of(args.since or "today", now) if args.since or not args.session else None
    until = moment_of(args.until, now) if args.until else None
    session = session_named(args.places.ledger, args.session) if args.session else None
    if args.reprice:
        # Here, not above: configuration and price table take longer than a report.
        from sidecar.cli.reports.reprice import reprice_requests  # noqa: PLC0415

        reprice_requests(args, since, until, session)
    by = args.by or "session"
    found = report(args.places.ledger, by, since, until, session, args.gateway)
    of = len(found["rows"])
    if args.gateway and not of:
        _refuse_unknown(args.places, args.gateway)
    found["rows"] = rows = [*_ordered(found["rows"], args.sort)][-(args.limit or of) :]
    told = story(args.places.ledger, session) if session and rows and not args.by else None
    if args.json:
        print(json.dumps({**found, "story": told} if told else found))
    elif args.csv:
        _print_csv(rows)
    elif not os.path.exists(args.places.ledger):
        print(f"nothing has been recorded yet: there is no ledger at {args.places.ledger}")
    elif not rows:
        print(f"no requests {_period(since, until, now)}")
    elif told:
        print_story(told, _SUMS, _NUMBERS, _DISPENSABLE, _zone(now))
    else:
        _print_rows(by, rows, of, found["total"], _period(since, until, now))
        print_lines(_notes(by, rows, found["total"]))
    return 0


def _refuse_unknown(places: Places, gateway: str) -> None:
    """Raises UsageError for a gateway that neither the configuration nor the ledger knows."""
    met = [str(row["key"]) for row in report(places.ledger, "gateway")["rows"]]
    if gateway in met:
        return
    # Here, not above: the configuration takes longer than a report.
    from sidecar.config.load import load  # noqa: PLC0415
    from sidecar.gateways.presets import unknown_gateway  # noqa: PLC0415

    configured = load(places).gateways
    if gateway not in configured:
        raise unknown_gateway(gateway, {*configured, *met})


def _notes(by: str, rows: Sequence[Row], total: Row) -> Iterator[str]:
    """What the figures do not say by themselves."""
    if unknown := unknown_costs(total):
        yield unknown
    if unmetered := total["unmetered_requests"]:
        what = "request was" if unmetered == 1 else "requests were"
        yield f"{unmetered} {what} not metered: the tokens of this kind of reply are not read"
    if total["subscription_cost_usd"] is not None:
        yield f"{SUBSCRIPTION} {dollars(total['subscription_cost_usd'])} of it went through a subscription: what the tokens cost by the list"
    difference = total["reported_difference_usd"]
    if isinstance(difference, float) and abs(difference) >= _WORTH_A_NOTE_USD:
        more = "more" if difference > 0 else "less"
        yield f"gateways reported a cost themselves: {dollars(total['reported_cost_usd'])}, {dollars(abs(difference))} {more} than computed"
    if by == "tag":
        yield "A request with several tags is in the row of each of them; the total counts it once."
    if by == "agent" and all(row["key"] is None for row in rows):
        yield "No subagents; --by client tells Claude Code, Codex and others apart."


def _print_csv(rows: Sequence[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow(_cell(value) for value in row.values())


def _cell(value: object) -> str:
    """A spreadsheet takes a text that begins with one of `=+-@` for a formula; the apostrophe says that it is text.  Numbers stay."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return plain(json.dumps(value) if isinstance(value, list) else value)
    return plain(f"'{value}" if value.lstrip().startswith(_FORMULA) else value)


def _ordered(rows: Sequence[Row], order: str | None) -> Sequence[Row]:
    """The most last, next to the prompt; what is unknown first."""
    if order in {None, "time"}:
        return rows
    if order == "name":
        return sorted(rows, key=lambda row: str(row.get("key") or row.get("session") or ""))
    names = _SORTED_BY[str(order)]
    return sorted(rows, key=lambda row: next((value for name in names if isinstance(value := row.get(name), int | float)), -1))


def _print_rows(by: str, rows: Sequence[Row], of: int, total: Row, period: str) -> None:
    """`rows` are the last ones of `of`."""
    columns = _REQUEST if by == "request" else {by: _key(by), **_SUMS}
    if by == "session":
        columns = {"session": short_names(rows), **_MET, **_SUMS}
    print_table(
        tuple(columns),
        [tuple(show(row) for show in columns.values()) for row in rows],
        title=f"{'' if len(rows) == of else f'{len(rows)} of '}{of} {by if of == 1 else _PLURALS.get(by, by + 's')} {period}",
        total=_total(columns, total),
        numbers=_NUMBERS,
        dispensable=[name for name in _DISPENSABLE if name != by],
    )


def _total(columns: Mapping[str, Callable[[Row], str]], total: Row) -> tuple[str, ...]:
    first = next(iter(columns))
    return tuple("total" if name == first else show(total) if name in _NUMBERS else "" for name, show in columns.items())


def _period(since: datetime | None, until: datetime | None, now: datetime) -> str:
    begin = f"since {since.astimezone():%Y-%m-%d %H:%M}" if since else "since the beginning"
    end = f" until {until.astimezone():%Y-%m-%d %H:%M}" if until else ""
    return f"{begin}{end} ({_zone(now)})"


def _zone(now: datetime) -> str:
    offset = now.isoformat()[-6:]
    return "UTC" if offset == "+00:00" else f"local time, UTC{offset}"


def _count(name: str) -> Callable[[Row], str]:
    return lambda row: count(row[name])


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: UNKNOWN if row[name] is None else str(row[name])


def _key(by: str) -> Callable[[Row], str]:
    """What a row is about.  A request without a subagent is the main agent's."""
    nothing = "main agent" if by == "agent" else "\N{EN DASH}"
    return lambda row: nothing if row["key"] is None else str(row["key"])


def _written(row: Row) -> str:
    known = [tokens for name in ("cache_write_5m_tokens", "cache_write_1h_tokens") if isinstance(tokens := row[name], int)]
    return count(sum(known)) if known else UNKNOWN


def _cost(row: Row) -> str:
    if "cost_usd" in row:
        return total_cost(row)
    nanousd = row["cost_nanousd"]
    if not isinstance(nanousd, int):
        return UNKNOWN
    return (SUBSCRIPTION if row["billing"] == "subscription" else "") + dollars(nanousd / 1e9)


def _errors(row: Row) -> str:
    return f"{count(row['errors'])} ({percent(row['error_share'])})" if row["errors"] else "0"


def _outcome(row: Row) -> str:
    if row["outcome"] is None:
        return "running"
    return f"{row['outcome']}: {row['error_type']}" if row["error_type"] else str(row["outcome"])


def _model(row: Row) -> str:
    return str(row["model_served"] or row["model_sent"] or UNKNOWN)


_SUMS: dict[str, Callable[[Row], str]] = {
    "requests": _count("requests"),
    "input": _count("input_tokens"),
    "cache read": _count("cache_read_tokens"),
    "cache write": _written,
    "output": _count("output_tokens"),
    "cost": _cost,
    "cached": lambda row: percent(row["cache_share"]),
    "tok/s": lambda row: rate(row["tokens_per_second"]),
    "first byte": lambda row: duration(row["first_byte_ms"]),
    "errors": _errors,
}
#: What tells sessions apart, beside their names.
_MET: dict[str, Callable[[Row], str]] = {
    "last": moment("last"),
    "project": listed("projects"),
    "gateway": listed("gateways"),
    "client": listed("clients"),
}
_REQUEST: dict[str, Callable[[Row], str]] = {
    "started": moment("started_at"),
    "session": _text("session"),
    "gateway": _text("gateway"),
    "model": _model,
    "outcome": _outcome,
    "input": _count("input_tokens"),
    "read": _count("cache_read_tokens"),
    "write": _written,
    "output": _count("output_tokens"),
    "cost": _cost,
}
_NUMBERS = frozenset({"started", "last", *_SUMS, "read", "write"})
#: The first one goes first where a terminal is too narrow.  What was paid for is not among them.
_DISPENSABLE = (
    "tok/s",
    "first byte",
    "client",
    "cache write",
    "cache read",
    "write",
    "read",
    "cached",
    "errors",
    "gateway",
    "requests",
    "session",
    "project",
    "last",
    "input",
)
#: Columns of a report's rows, and of the ledger's own.
_SORTED_BY = {
    "cost": ("cost_usd", "cost_nanousd"),
    "input": ("input_tokens",),
    "output": ("output_tokens",),
    "requests": ("requests",),
}
_PLURALS = {"branch": "branches"}
