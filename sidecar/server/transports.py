"""What both kinds of agents' connections need of an asyncio transport."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

# On, with no time to wait: what is buffered is dropped, and the peer gets a reset.
_LINGER_NOT = struct.pack("ii", 1, 0)


def peer_of(transport: asyncio.BaseTransport) -> str | None:
    """The address that connected."""
    name = transport.get_extra_info("peername")
    return name[0] if name else None


def reset(transport: asyncio.Transport) -> None:
    """Close at once, so that the peer sees an error and no ordinary end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
