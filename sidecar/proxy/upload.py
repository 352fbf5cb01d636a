"""An agent's request body on its way in: whole up to a limit, or piece by piece, and never waited for without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import Refusal
from sidecar.limits import limited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidecar.proxy.agent import AgentBody
    from sidecar.wire.body import Body

#: Seconds without a byte after which the rest of a body is given up.  Agents send theirs in one go; but when the framing breaks in
#: the middle, aiohttp (3.14) keeps that to itself until the next request, and a peer in a container can vanish without a packet.
SILENCE_SECONDS = 60.0


async def pieces(content: AsyncIterator[Body], silence_seconds: float = SILENCE_SECONDS) -> AsyncIterator[Body]:
    """What arrives, as it arrives.  Raises `Refusal` (`bad_request`) when nothing more does."""
    while True:
        try:
            async with limited(silence_seconds):
                piece = await anext(content, None)
        except TimeoutError:
            raise Refusal("bad_request", f"the rest of the request's body did not come within {silence_seconds:g} s") from None
        if piece is None:
            return
        if piece:  # an empty one says that more is on its way
            yield piece


async def whole(body: AgentBody, limit: int) -> Body:
    """Return the body once all of it has arrived.  Raises `Refusal`: `request_too_large` as soon as it is known, `bad_request`."""
    if (body.length or 0) > limit:
        raise _too_large(limit)
    if (arrived := body.whole()) is not None:
        if len(arrived) > limit:
            raise _too_large(limit)
        return arrived
    collected = []
    size = 0
    async for piece in pieces(body.arriving()):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        collected.append(piece)
    return collected[0] if len(collected) == 1 else b"".join(collected)


def _too_large(limit: int) -> Refusal:
    return Refusal(
        "request_too_large",
        f"the request's body is larger than {limit} bytes",
        "limits.body in the configuration sets this limit; the Messages API itself takes 32 MB",
    )
