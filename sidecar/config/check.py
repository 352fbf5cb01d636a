"""A document -> the forms it fills, or every fault in it with line and column.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sidecar.config import schema
from sidecar.config.document import Document, Fault, Path
from sidecar.config.judges import NOTHING, Around, findings
from sidecar.config.schema import FileForm, GatewayForm
from sidecar.gateways.presets import presets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.config.judges import Judge


class Contents(NamedTuple):
    """What the file says, each gateway under its name, presets not yet put under."""

    file: FileForm = FileForm()
    gateways: Mapping[str, GatewayForm] = NOTHING


def check(document: Document) -> tuple[Contents, list[Fault]]:
    """The contents, to be used only where there is no fault; the faults in the order of the file."""
    faults = list(document.faults)
    if not isinstance(document.values, dict):
        what = "the file must be a mapping, like gateway: vercel"
        return Contents(), [*faults, Fault(document.place(()), (), what)]

    def judged(judge: Judge, value: object, at: Path, around: Around) -> Any:
        try:
            return judge(value, around)
        except ValueError as error:
            for path, what, of_key in findings(error):
                faults.append(Fault(document.place((*at, *path), of_key=of_key), (*at, *path), what))

    file = judged(schema.file, document.values, (), Around(known=known_gateways(document)))
    entries = document.values.get("gateways")
    gateways = {
        name: judged(schema.gateway, entry, ("gateways", name), Around(gateway=name))
        for name, entry in (entries.items() if isinstance(entries, dict) else ())
    }
    contents = Contents(file or FileForm(), {name: form for name, form in gateways.items() if form})
    return contents, sorted(faults, key=lambda fault: fault.place)


def known_gateways(document: Document) -> tuple[str, ...]:
    """The names that `gateway:` may have: the user's, and every preset that needs nothing but a key."""
    entries = document.values.get("gateways") if isinstance(document.values, dict) else None
    own = tuple(entries) if isinstance(entries, dict) else ()
    return (*own, *(name for name, preset in presets().items() if preset.base_url and name not in own))
