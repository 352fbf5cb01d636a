"""`sidecar prices`: models seen without a price, and how many tokens wait for one; `prices update` brings the table's newest data.

Nothing is fetched unless it is asked for.  The way out is the active gateway's: its proxy and its certificates.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sidecar.config.load import load
from sidecar.errors import SidecarError
from sidecar.launch.figures import count
from sidecar.launch.files import read_regular
from sidecar.launch.places import write_private
from sidecar.ledger.unpriced import unpriced

if TYPE_CHECKING:
    from argparse import Namespace

    from sidecar.config.settings import Settings
    from sidecar.launch.places import Places

#: Where the makers of genai-prices publish their table.
HOST, TARGET = "https://raw.githubusercontent.com", "/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"
_LARGEST = 32 << 20
_SECONDS = 30.0
_OK = 200


def prices(args: Namespace) -> int:
    found, table = unpriced(args.places.ledger), _in_use(args.places)
    if args.json:
        print(json.dumps({"table": table, "unpriced": found}))
        return 0
    from sidecar.cli.reports.tables import print_table  # noqa: PLC0415 - rich, for a table only

    print(f"prices: {table}")
    if not found:
        print("Every model that was used has a price.")
        return 0
    print_table(
        ("model", "gateway", "requests", "tokens", "last"),
        [
            (row["model"] or "?", row["gateway"], count(row["requests"]), count(row["tokens"]), row["last"][: len("2026-11-21")])
            for row in found
        ],
        title=f"{len(found)} without a price",
        numbers=frozenset({"requests", "tokens"}),
    )
    print("A newer table may know them: sidecar prices update.  Or say what they cost, under prices: in the configuration file.")
    print("Then: sidecar usage --reprice --since 30d")
    return 0


def update(args: Namespace) -> int:
    """Store a newer table.  A file or reply that is none is refused, and the table in use stays."""
    from sidecar.pricing import table  # noqa: PLC0415 - its import takes 200 ms

    if args.file:
        where = args.file
        try:
            data = read_regular(args.file, _LARGEST + 1)
        except OSError as error:
            raise SidecarError(
                f"{args.file} cannot be read: {error.strerror or error}", "--file FILE is a copy of the published table"
            ) from None
    else:
        where = HOST + TARGET
        data = asyncio.run(_fetched(load(args.places)))
    if len(data) > _LARGEST:
        raise SidecarError(f"{where} is larger than {_LARGEST >> 20} MiB: it is no price table", "the table in use stays")
    try:
        table.parsed(data)
    except ValueError as error:
        raise SidecarError(f"{where} is no price table: {error}", "the table in use stays") from None
    write_private(args.places.prices, data)
    print(f"Stored the table in {args.places.prices}; requests are priced by it from now on.")
    print("Earlier ones: sidecar usage --reprice --since 30d.  Back to the installed table: remove that file.")
    return 0


def _in_use(places: Places) -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow to import

    try:
        stored = os.stat(places.prices).st_mtime
    except OSError:
        return f"the table of genai-prices {version('genai-prices')}, as installed"
    return f"the table of {time.strftime('%Y-%m-%d', time.gmtime(stored))} ({places.prices})"


async def _fetched(settings: Settings) -> bytes:
    """Raises SidecarError."""
    from sidecar.proxy.upstream import Upstream  # noqa: PLC0415 - the daemon's part, needed for this alone

    gateway = replace(settings.gateways[settings.gateway], name="the price table", base_url=HOST)
    upstream = Upstream(os.environ.get)
    fields = [(b"accept", b"application/json"), (b"accept-encoding", b"identity"), (b"user-agent", b"agent-sidecar")]
    reply = await upstream.send(gateway, "GET", TARGET, fields, None, settings.timeouts.connect)
    try:
        message = await reply.head(_SECONDS)
        if message.status != _OK:
            raise SidecarError(f"{HOST} answered {message.status} instead of the price table", "sidecar prices update --file FILE")
        whole = _Whole()
        await reply.pour(whole, _SECONDS)
    except SidecarError:
        raise
    except Exception as error:
        raise SidecarError(f"the price table broke off on its way ({type(error).__name__})", "try again") from error
    finally:
        reply.close()
        upstream.close()
    return b"".join(whole.pieces)


class _Whole:
    """Collects a reply, up to a limit (a `reply.Sink`)."""

    lane = None

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._size = 0

    def take(self, data: bytes) -> bool:
        self._size += len(data)
        if self._size > _LARGEST:
            raise ConnectionError("more than any price table has")
        self.pieces.append(data)
        return False

    def passed(self) -> bool:
        return False

    def end(self, data: bytes) -> None:
        self.take(data)

    async def drained(self) -> None:
        return
