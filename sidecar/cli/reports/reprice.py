"""`sidecar usage --reprice`: costs computed anew, on the terms of the configuration in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.config.load import load
from sidecar.launch.figures import count, dollars
from sidecar.launch.surroundings import note
from sidecar.ledger.reprice import reprice

if TYPE_CHECKING:
    import argparse
    from datetime import datetime


def reprice_requests(args: argparse.Namespace, since: datetime | None, until: datetime | None, session: str | None) -> None:
    """What came of it goes to stderr: the report itself may be on its way into a pipe.  Raises ConfigError, SidecarError."""
    settings = load(args.places)
    done = reprice(args.places.ledger, settings.terms, since, until, session, args.gateway)
    cost = f"{dollars(done.before_nanousd / 1e9)} before, {dollars(done.after_nanousd / 1e9)} now"
    unpriced = f", without a price: {count(done.unpriced)}" if done.unpriced else ""
    note(f"requests priced anew: {count(done.requests)}, changed: {count(done.changed)}{unpriced}; {cost}")
