"""Judges how a request ended from what its reply said and how its connections ended.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.ledger.entry import Ending, Kind

if TYPE_CHECKING:
    from sidecar.metering.reading import Reading

_ERROR_STATUS = 400
#: What is wrong with a reply that should have been a message; an error's body may be anything.
_OF_A_SUCCESS = frozenset({"not_json", "not_a_message"})


def outcome(kind: Kind, ending: Ending, status: int | None, own_error: str | None, reading: Reading) -> tuple[str, str | None]:
    """The outcome, the first that applies, and the error's type, None if there was none.

    `own_error` is the code of the sidecar's own answer, `status` the gateway's.
    """
    error_type = _error_type(kind, ending, status, own_error, reading)
    # An agent that leaves behind the last word has cancelled nothing: Codex never waits for the end of the HTTP message.
    if ending is Ending.CLIENT_GONE and not (error_type is None and kind is Kind.INFERENCE and reading.finished):
        return "client_cancelled", error_type
    if error_type is not None and own_error is None:
        return "upstream_error", error_type
    if own_error is None and _complete(kind, ending, status, reading):
        return "unmetered" if reading.is_unmetered else "complete", None
    if ending is Ending.TIMEOUT:
        return "timeout", error_type
    if ending is Ending.UNREACHABLE:
        return "unreachable", error_type
    return "upstream_truncated", error_type


def _error_type(kind: Kind, ending: Ending, status: int | None, own_error: str | None, reading: Reading) -> str | None:
    if own_error is not None:
        return own_error
    if status is not None and status >= _ERROR_STATUS:
        said = None if reading.error_type in _OF_A_SUCCESS else reading.error_type
        return said or f"http_{status}"
    if reading.failed:
        return reading.error_type or "unknown_error"
    # Nothing at all where a message was due; if the connection broke as well, that is what happened.
    if kind is Kind.INFERENCE and ending is Ending.CLEAN and reading.empty and not reading.is_unmetered:
        return "not_json"
    return None


def _complete(kind: Kind, ending: Ending, status: int | None, reading: Reading) -> bool:
    if reading.finished:
        return True
    if kind is Kind.INFERENCE and reading.gave_up is None and not reading.is_unmetered:
        return False
    # A whole HTTP message; also of a message that metering gave up on, since nothing speaks against it.
    return status is not None and ending is Ending.CLEAN
