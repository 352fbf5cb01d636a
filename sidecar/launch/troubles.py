"""What is wrong with a gateway just now, in the words that `status`, `doctor`, `gateways`, `top` and the status line share."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def words(trouble: Mapping[str, Any]) -> str:
    """`vercel refused the key (401, 14:36): sidecar login vercel`, the time of day as this machine shows it."""
    name, at = trouble["gateway"], time.strftime("%H:%M", time.localtime(trouble["at"]))
    if trouble["kind"] == "refused":
        what = "the login or the key" if trouble["beside"] else "the key"
        return f"{name} refused {what} ({trouble['status']}, {at}): sidecar login {name}"
    return f"since {at}: {trouble['why']}"
