"""Brings the server into memory, without what its libraries load for uses that are none of ours, and lets it serve."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sidecar.launch.places import Places

#: The garbage collector runs when so many more objects have been made than freed: an exchange leaves it nothing, an import little.
LITTER = 50_000


def serve(
    places: Places, environ: Mapping[str, str], *, console: bool, ready: Callable[[dict[str, object]], None], replace: bool = False
) -> int:
    """`lifecycle.serve`, sooner."""
    gc.set_threshold(LITTER)
    with _no_certificates(), _no_rich():
        from sidecar.server import lifecycle  # noqa: PLC0415 - to be imported in these surroundings
    gc.freeze()
    return lifecycle.serve(places, environ, console=console, ready=ready, replace=replace)


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    """Keep the client half of aiohttp, which is not used here, from reading the system's certificates twice: 50 ms, 2 MiB."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


@contextlib.contextmanager
def _no_rich() -> Iterator[None]:
    """Keep structlog from loading rich, for tracebacks that are never drawn here: 60 ms, 3 MiB."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # the documented way to say that there is none
    try:
        yield
    finally:
        del sys.modules["rich"]
