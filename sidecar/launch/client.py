"""Talks to the daemon: one request, one connection, blocking.

Nothing secret goes to a port because a file names it.  `verified` asks for the health proof first, which only the holder of
`pass.key` can give; a control pass or a variable is sent to nobody else.

Standard library only, without `http.client`: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

import os
import time
from _hashlib import compare_digest
from _socket import AF_INET, AF_INET6, SOCK_STREAM, socket  # half the import time of `socket`, and all that is needed

from sidecar.errors import NotRunning, SidecarError
from sidecar.launch import daemon_state, lean_json, passkey
from sidecar.launch.passes import CONTROL_SECONDS, Pass, health_proof, mint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places

TIMEOUT_SECONDS = 10.0
HEALTH_SECONDS = 3.0
_LARGEST_REPLY = 16 << 20


def request(
    port: int,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    host: str = "127.0.0.1",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[int, bytes]:
    """Status and body.  Raises OSError when nobody answers in time, or what answers does not speak HTTP."""
    # HTTP/1.0: no chunks, and the end of the connection is the end of the body.
    lines = [f"{method} {target} HTTP/1.0", f"host: {_bracketed(host)}:{port}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    reply = _exchange(host, port, "\r\n".join([*lines, "", ""]).encode() + body, timeout_seconds)
    head, _, rest = reply.partition(b"\r\n\r\n")
    version, _, status = head.partition(b"\r\n")[0].partition(b" ")
    if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        raise OSError(f"port {port} does not answer in HTTP")
    return int(status[:3]), rest


def verified(places: Places, warm: str | None = None) -> State | None:
    """What the running daemon says of itself, after it has proved that it is ours.  None when there is none.

    `warm` tells of an agent that is about to start, and its gateway (empty: the active one): a connection will be ready for it.
    """
    state = daemon_state.read(places.state_file)
    if state is None:
        return None
    nonce = os.urandom(16).hex()
    try:
        key = passkey.load(places.pass_key)
        target = f"/_sidecar/health?nonce={nonce}"
        if warm is not None and (gateway := warm or state["gateway"]) in state["gateways"]:
            target += f"&warm={gateway}"
        status, body = request(state["port"], "GET", target, host=reachable(state["host"]), timeout_seconds=HEALTH_SECONDS)
        health = lean_json.loads(body)
        proof, instance = health["proof"], health["instance"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if status != 200 or not isinstance(proof, str) or not proof.isascii() or not compare_digest(proof, health_proof(key, nonce)):
        return None
    # Read again: the health request made the daemon look at its configuration.
    state = daemon_state.read(places.state_file)
    return state if state is not None and state["instance"] == instance else None


def is_ending(state: State) -> bool:
    """Whether it takes no new requests, and ends with the open streams.  A daemon of an earlier version does not tell."""
    return state.get("draining", False)


def ask(places: Places, state: State, method: str, target: str, value: object = None) -> dict[str, object]:
    """One control request to a verified daemon: its JSON answer, empty for 204.

    Raises `NotRunning` when it has gone, `SidecarError` with its own words when it refuses.
    """
    control = Pass("cli", int(time.time()) + CONTROL_SECONDS, scope="control")
    headers = [("x-sidecar-pass", mint(passkey.load(places.pass_key), control)), ("content-type", "application/json")]
    body = b"" if value is None else lean_json.dumps(value).encode()
    try:
        status, reply = request(state["port"], method, target, headers, body, host=reachable(state["host"]))
        answer = lean_json.loads(reply) if reply else {}
    except (OSError, ValueError) as error:
        raise NotRunning(f"the sidecar on port {state['port']} does not answer: {error}", "sidecar restart") from error
    if status >= 300:
        raise SidecarError(_message(answer) or f"the sidecar answered {status} to {method} {target}")
    return answer if isinstance(answer, dict) else {}


def base_url(state: State) -> str:
    """Where an agent on this machine finds the daemon."""
    return f"http://{_bracketed(reachable(state['host']))}:{state['port']}"


def reachable(host: str) -> str:
    """The address to ask, for the address that is listened on."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(host, host)  # noqa: S104 - looked for, not listened on


def _exchange(host: str, port: int, data: bytes, timeout_seconds: float) -> bytes:
    deadline = time.monotonic() + timeout_seconds
    connection = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
    try:
        connection.settimeout(timeout_seconds)
        connection.connect((host, port))
        connection.sendall(data)
        reply = bytearray()
        while chunk := connection.recv(65536):
            reply += chunk
            left = deadline - time.monotonic()
            if len(reply) > _LARGEST_REPLY or left <= 0:
                raise TimeoutError(f"port {port} does not come to an end")
            connection.settimeout(left)
        return bytes(reply)
    finally:
        connection.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _message(answer: object) -> str:
    """The words in the error envelope of the sidecar's own answers."""
    match answer:
        case {"error": {"message": str(message)}}:
            return message.removeprefix("sidecar: ")
    return ""
