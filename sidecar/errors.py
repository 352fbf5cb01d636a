"""The errors a person can meet: what happened, what to type next, and how a program sees it.

Two kinds, one tree.  A `SidecarError` ends a command: its message and hint go to stderr, `exit_code` to the shell.  A `Refusal`
is an answer of the sidecar's own to an HTTP request; `ANSWERS` gives each of its codes a status, a type and whether asking again
can help.  What Claude Code, Codex and opencode do with each pair was measured before the pairs were chosen: 400 is the one status
that all of them show at once together with its message.

Standard library only: `sidecar run` imports this file on every start.
"""

from __future__ import annotations


class SidecarError(Exception):
    """Something a person can read and mend.  `message` says what happened, `hint` what to type."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(SidecarError):
    """The command line does not fit."""

    exit_code = 2


class ConfigError(SidecarError):
    """The configuration cannot be used.  `faults` holds one `file:line:column: what` text for every fault found."""

    exit_code = 3

    def __init__(self, faults: tuple[str, ...], hint: str = "") -> None:
        super().__init__("\n".join(faults), hint)
        self.faults = faults


class NotRunning(SidecarError):
    """The daemon is not there, or does not answer."""

    exit_code = 5


#: code -> (HTTP status, Anthropic error type, retry: False = `x-should-retry: false`, None = as the client likes)
ANSWERS: dict[str, tuple[int, str, bool | None]] = {
    "bad_pass": (401, "authentication_error", False),
    "forbidden_host": (403, "permission_error", False),
    "forbidden_origin": (403, "permission_error", False),
    "forbidden_scope": (403, "permission_error", False),
    "forbidden_peer": (403, "permission_error", False),
    "no_credential": (400, "invalid_request_error", False),
    "credential_failed": (400, "invalid_request_error", False),
    "subscription_login": (400, "invalid_request_error", False),
    "unknown_gateway": (400, "invalid_request_error", False),
    "bad_header": (400, "invalid_request_error", False),
    "bad_request": (400, "invalid_request_error", False),
    "forbidden_path": (400, "invalid_request_error", False),
    "not_found": (404, "not_found_error", False),
    "over_budget": (400, "billing_error", False),
    "request_too_large": (413, "request_too_large", False),
    "unreachable": (502, "api_error", None),
    "upstream_closed": (502, "api_error", None),
    "bad_reply": (502, "api_error", None),
    "timeout_connect": (504, "timeout_error", None),
    "timeout_first_byte": (504, "timeout_error", None),
    "draining": (503, "api_error", None),
    "busy": (503, "api_error", None),
    "no_websocket": (426, "invalid_request_error", False),
    "internal": (500, "api_error", None),
}


class Refusal(SidecarError):
    """What the sidecar itself refuses or cannot do.  `code` is one of `ANSWERS`; the reply carries it as `x-sidecar-error`.

    `retry` and `status` where the case asks for others than the code's own.
    """

    def __init__(self, code: str, message: str, hint: str = "", *, retry: bool | None = None, status: int | None = None) -> None:
        super().__init__(message, hint)
        self.code = code
        usual_status, self.type, usual_retry = ANSWERS[code]
        self.status = usual_status if status is None else status
        self.retry = usual_retry if retry is None else retry


class NoCredential(Refusal):
    """No source holds a key for this gateway and its origin.  `state` tells the cases apart where keys are listed."""

    exit_code = 4
    state = "none"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("no_credential", message, hint)


class CredentialFailed(Refusal):
    """A source that should have given a key broke: a locked keyring, a failing command, a file open to others."""

    exit_code = 4
    state = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("credential_failed", message, hint)
