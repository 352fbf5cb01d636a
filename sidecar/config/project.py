"""A checkout's `.sidecar.yaml`: the gateway and the tags that its sessions use.  Pure.

The file comes with a repository, from whoever wrote it.  So it can name a gateway that its reader has configured, and nothing that
would decide where a key goes: no address, key, header or command.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sidecar.config import document, scalars
from sidecar.config.document import Fault
from sidecar.config.judges import NOTHING, Around, Judge, findings, list_of, text
from sidecar.config.schema import TAG
from sidecar.errors import ConfigError

KEYS = ("gateway", "tags")

_GATEWAY: Judge = text(scalars.gateway_name)
_TAGS: Judge = list_of(TAG)


class Project(NamedTuple):
    """`gateway` is a name, None if the file has no such key."""

    gateway: str | None = None
    tags: tuple[str, ...] = ()


def parsed(source: str, path: str) -> Project:
    """Raises ConfigError, which names every fault with line and column."""
    found = document.read(source)
    faults = list(found.faults)
    values = found.values
    if not isinstance(values, dict):
        faults.append(Fault(found.place(()), (), "the file must be a mapping, like gateway: vercel"))
        values = NOTHING

    def judged(key: str, judge: Judge) -> Any:
        try:
            return judge(values[key], Around()) if key in values else None
        except ValueError as error:
            faults.extend(Fault(found.place((key, *each.path)), (key, *each.path), f"{key}: {each.what}") for each in findings(error))
            return None

    gateway, tags = judged("gateway", _GATEWAY), judged("tags", _TAGS)
    faults += [
        Fault(found.place((key,), of_key=True), (key,), f"{key!r} cannot stand here, only {' and '.join(KEYS)}")
        for key in values
        if key not in KEYS
    ]
    if faults:
        lines = (f"{path}:{fault.place[0]}:{fault.place[1]}: {fault.what}" for fault in sorted(faults, key=lambda fault: fault.place))
        raise ConfigError(
            tuple(lines),
            "a checkout may name a gateway that you have configured, and tags; everything else belongs in: sidecar config path",
        )
    return Project(gateway, tags or ())
