"""The sidecar's daemon with a meter that looks at nothing, for this benchmark alone: what the other one needs more is metering's."""

from __future__ import annotations

import os
import sys

from sidecar.launch import places
from sidecar.metering.meter import Meter
from sidecar.server.start import serve


def _nothing(_meter: Meter, _chunk: bytes) -> None:
    """In place of `Meter.feed`: the reading stays empty."""


if __name__ == "__main__":
    Meter.feed = _nothing  # type: ignore[method-assign]  # that is the point
    sys.exit(serve(places.find(os.environ), os.environ, console=False, ready=print))
