"""A gateway's reply on its way to the agent: every byte as it comes, a copy to the meter, and an end that tells the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.ledger.entry import Ending
from sidecar.proxy.answer import Answer
from sidecar.proxy.reply import IdleTimeout, ReplyCut
from sidecar.wire.fields import ONLY_OF_THE_GATEWAY, end_to_end

if TYPE_CHECKING:
    from sidecar.proxy.answer import Copy
    from sidecar.proxy.reply import Reply
    from sidecar.wire.message import Message


def reply_to_agent(message: Message, copy: Copy) -> Answer:
    """The gateway's status and fields, ready to be sent.  `copy` gets every byte of the body."""
    return Answer(message.status, message.reason, end_to_end(message.fields, message.named, ONLY_OF_THE_GATEWAY), copy=copy)


async def relay(reply: Reply, answer: Answer, idle_seconds: float | None) -> Ending:
    """Move the body.  The two sides fail apart: ConnectionError comes from the agent's alone."""
    try:
        await reply.pour(answer, idle_seconds)
        await answer.drained()
    except ReplyCut:
        return Ending.CUT
    except IdleTimeout:
        return Ending.TIMEOUT
    except ConnectionError:
        return Ending.CLIENT_GONE
    return Ending.CLEAN
