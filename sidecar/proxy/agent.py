"""The agent's side of an exchange: a request's head, its body as it arrives, and the connection that the answer is written to.

The server makes these, whichever way a request took (`server/plain.py`, `server/through_aiohttp.py`); the exchange only uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sidecar.proxy.admission import KnownHead
    from sidecar.wire.body import Body
    from sidecar.wire.head import Head


class AgentBody(Protocol):
    """A request's body.  Its bytes stay in the socket until they are asked for, except those that came together with the head."""

    @property
    def length(self) -> int | None:
        """The announced length, or None if the body is chunked."""

    def whole(self) -> Body | None:
        """Return the whole body if all of it has arrived, and None if some is missing."""

    def arriving(self) -> AsyncIterator[Body]:
        """Yield the body as it arrives.  An empty piece says that bytes are arriving which will be part of a later piece."""


class AgentConnection(Protocol):
    """The connection to an agent, for as long as one request is answered on it."""

    @property
    def peer(self) -> str | None:
        """The address that connected."""

    @property
    def is_gone(self) -> bool:
        """True once nothing that is written reaches the agent any more.

        An agent that has half-closed is gone, too: that is how agents cancel a stream, and none was seen to half-close for another reason.
        """

    @property
    def is_paused(self) -> bool:
        """True while the agent reads more slowly than is written.  Stop writing then, and wait for `drained`."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Send bytes, without waiting.  Check `is_gone` first: on a closed connection this may do nothing, or raise RuntimeError."""

    async def drained(self) -> None:
        """Wait until the connection is not paused.  Raises ConnectionResetError when the agent is gone."""

    def close(self) -> None:
        """Close once everything written has been sent."""

    def reset(self) -> None:
        """Close at once, so that the agent sees an error and no ordinary end."""


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """A request to be answered.  `body` is None if there is none; `keep_alive` says whether the agent may send another one behind it."""

    known: KnownHead
    body: AgentBody | None
    connection: AgentConnection
    keep_alive: bool = True

    @property
    def head(self) -> Head:
        return self.known.head
