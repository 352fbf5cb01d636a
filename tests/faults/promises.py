"""What is promised in each cell.  Nothing here looks at the sidecar: five rules, from what the gateway did to what must come of it.

1.  As long as no usable status and fields have arrived, the sidecar answers itself, in Anthropic's envelope, with a code that says
    what happened (`OWN`).  `x-should-retry: false` where asking again cannot help: names that do not exist, TLS that cannot be trusted.
2.  From then on the agent gets the gateway's status and every byte of the body that arrived, and nothing else.
3.  The agent's message is whole if and only if the gateway's was: ended as its framing says.  A reply that only the end of the
    connection ends is whole after FIN, and never after RST.
4.  The ledger has one row.  Outcome, the first that applies: `client_cancelled`; `upstream_error` (status 400 and up, an error event, or
    nothing that could be a message); `complete` (the last event arrived, whatever came after); `timeout` (a limit of ours);
    `unreachable`; `upstream_truncated`.  Usage is `final` from `message_delta` on, `partial` from `message_start` on.
5.  All of that within seconds, and the gateway is asked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from faults.events import END, ERROR, PAGE, START, Framing, coded
from faults.table import Body, Cell, NoHead, NoUpload, NoWay, Then

#: Rule 5, in seconds: how long anything may take that does not wait for a limit of its own.
SOON = 5.0

#: code -> (status, the envelope's error type, outcome)
OWN = {
    "unreachable": (502, "api_error", "unreachable"),
    "timeout_connect": (504, "timeout_error", "timeout"),
    "timeout_first_byte": (504, "timeout_error", "timeout"),
    "upstream_closed": (502, "api_error", "upstream_truncated"),
    "bad_reply": (502, "api_error", "upstream_truncated"),
}

#: usage_source, input_tokens, output_tokens
Usage: TypeAlias = tuple[str, int | None, int | None]
NO_USAGE: Usage = ("none", None, None)


@dataclass(frozen=True, slots=True)
class Result:
    """What the agent got (None, b"" and False if nothing), what the row says, and how many connections the gateway saw.

    `body` of an answer of the sidecar's own is the type that its envelope names.
    """

    status: int | None
    code: str | None
    should_retry: str | None
    framing: Framing | None
    body: bytes
    is_whole: bool
    outcome: str
    error_type: str | None
    row_status: int | None
    usage: Usage
    bytes_out: int
    connections: int


def promised(cell: Cell) -> Result:
    match cell.fault:
        case NoWay(code=code, is_final=is_final):
            return _own_answer(code, is_final=is_final, connections=0)
        case NoHead(code=code):
            return _own_answer(code)
        case NoUpload(code=str(code)):
            return _own_answer(code)
        case NoUpload(answer=b""):
            return Result(None, None, None, None, b"", False, "client_cancelled", None, None, NO_USAGE, 0, 1)
        case NoUpload(then=then):
            framing = Framing.CHUNKED if then is Then.FIN else Framing.LENGTH
            return Result(413, None, None, framing, b"no", True, "upstream_error", "http_413", 413, NO_USAGE, 2, 1)
        case Body() as fault:
            return _relayed(fault, cell)


def _own_answer(code: str, *, is_final: bool = False, connections: int = 1) -> Result:
    status, error_type, outcome = OWN[code]
    retry = "false" if is_final else None
    return Result(
        status, code, retry, Framing.LENGTH, error_type.encode(), True, outcome, code, None, NO_USAGE, bytes_out=0, connections=connections
    )


def _relayed(fault: Body, cell: Cell) -> Result:
    status = int(fault.status.split()[0])
    body = b"".join(coded(fault.pieces, cell.coding, is_last=fault.then is Then.END))
    is_whole = fault.then is Then.END or (fault.then is Then.FIN and cell.framing is Framing.CLOSE)
    outcome, error_type = _outcome(fault, status, is_whole=is_whole)
    return Result(
        status=status,
        code=None,
        should_retry=None,
        framing=_framing_for_the_agent(cell),
        body=body,
        is_whole=is_whole,
        outcome=outcome,
        error_type=error_type,
        row_status=status,
        usage=_usage(fault.pieces),
        bytes_out=len(body),
        connections=1,
    )


def _outcome(fault: Body, status: int, *, is_whole: bool) -> tuple[str, str | None]:
    if status >= 400:
        return "upstream_error", f"http_{status}"
    if ERROR in fault.pieces:
        return "upstream_error", "overloaded_error"
    if PAGE in fault.pieces or (is_whole and not fault.pieces):
        return "upstream_error", "not_json"
    if END in fault.pieces:
        return "complete", None
    return ("timeout" if fault.then is Then.STALL else "upstream_truncated"), None


def _usage(pieces: tuple[bytes, ...]) -> Usage:
    if END in pieces:
        return "final", 3, 7
    return ("partial", 3, 1) if START in pieces else NO_USAGE


def _framing_for_the_agent(cell: Cell) -> Framing:
    """A length stays a length; without one the body is chunked, which HTTP/1.0 does not know."""
    if cell.framing is Framing.LENGTH:
        return Framing.LENGTH
    return Framing.CHUNKED if cell.agent == "1.1" else Framing.CLOSE
