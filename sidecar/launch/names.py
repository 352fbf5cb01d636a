"""Names that people type, and what to say of one that is not known: the nearest one there is."""

from __future__ import annotations

from sidecar.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class UnknownGateway(UsageError):
    """The configuration knows no gateway of this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(*no_gateway(name, names))


def no_gateway(name: str, known: Iterable[str], why: str = "") -> tuple[str, str]:
    """Message and hint for a gateway that there is none of.  `why` says who asked for it."""
    names = sorted(known)
    by = f" ({why})" if why else ""
    return f"there is no gateway {name[:64]!r}{by}{did_you_mean(name, names)}", f"there are {', '.join(names)}; see: sidecar gateways"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean vercel?` if one of `known` is near, else nothing."""
    import difflib  # noqa: PLC0415 - loaded for a misspelling only: it takes as long to import as all the rest of `sidecar run`

    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
