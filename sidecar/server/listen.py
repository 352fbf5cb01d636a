"""The port: the one the configuration names or an error that says who holds it; without one the usual port or the next free."""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import socket
import sys
import urllib.request
from typing import TYPE_CHECKING

from sidecar.config.settings import DEFAULT_PORT
from sidecar.errors import SidecarError
from sidecar.launch import daemon_state

if TYPE_CHECKING:
    from sidecar.config.settings import Settings

#: How far from the usual port to look for a free one.
TRIES = 100
#: A burst of agents connecting at once must not meet a full queue: that costs each a second (a SYN is repeated after 1 s).
BACKLOG = 1024


def listen(settings: Settings, state_file: str) -> tuple[socket.socket, str | None]:
    """A bound socket, and what the user should know about the choice.

    Without a configured port the last one is taken again if it is free: editors and services may have it in their settings.
    """
    if settings.port is not None:
        try:
            return _bound(settings.host, settings.port), None
        except OSError as error:
            raise SidecarError(f"cannot listen on {settings.host}:{settings.port}: {_who(settings.port, error)}", _hint(error)) from error
    last = daemon_state.read(state_file)
    remembered = [last["port"]] if last is not None else []
    for port in (*remembered, *range(DEFAULT_PORT, DEFAULT_PORT + TRIES)):
        try:
            sock = _bound(settings.host, port)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise SidecarError(f"cannot listen on {settings.host}:{port}: {error.strerror}") from error
            continue
        if port == DEFAULT_PORT or port in remembered:
            return sock, None
        return sock, f"port {DEFAULT_PORT} is taken: {_holder(DEFAULT_PORT) or 'by somebody else'}; listening on {port}"
    raise SidecarError(f"no free port between {DEFAULT_PORT} and {DEFAULT_PORT + TRIES - 1}", "name one: `listen: 127.0.0.1:PORT`")


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two listeners share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _who(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the port is taken {_holder(port) or 'by another process'}"
    return error.strerror or str(error)


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "end that process, or choose another port: `listen:` in the configuration"
    return "choose another address: `listen:` in the configuration"


def _holder(port: int) -> str | None:
    """By whom a loopback port is held, as far as that can be seen: another sidecar, or a process of this user (Linux)."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{port}/_sidecar/health", timeout=1
        ) as reply:
            health = json.loads(reply.read(4096))
    except (OSError, ValueError):
        health = None
    if isinstance(health, dict) and health.get("name") == "sidecar":
        return f"by another sidecar (version {health.get('version')}; another home or another user's)"
    return _process(port) if sys.platform == "linux" else None


def _process(port: int) -> str | None:
    """`/proc/net/tcp` gives the listening socket's inode, `/proc/PID/fd` who has it open."""
    wanted = f":{port:04X}"
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        inodes |= {f"socket:[{row[9]}]" for row in rows if row[1].endswith(wanted) and row[3] == "0A"}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{number}") in inodes for number in os.listdir(f"/proc/{pid}/fd")):
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    return f"by {file.read().strip()} (process {pid})"
        except OSError:
            continue
    return None
