"""The story of one request: who asks, where it goes, with which key; out, back, and into the ledger.

`exchange` is the whole of it, top to bottom.  What it refuses raises `Refusal`, which the server turns into an answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.errors import Refusal
from sidecar.gateways.gateway import Secret
from sidecar.gateways.route import mapped
from sidecar.ledger.entry import Ending
from sidecar.proxy.budgets import check_budgets
from sidecar.proxy.record import Record
from sidecar.proxy.relay import relay, reply_to_agent
from sidecar.proxy.troubles import Troubles
from sidecar.proxy.unmapped import Unmapped, unmapped
from sidecar.proxy.upload import pieces, whole
from sidecar.wire.body import Peek, peek
from sidecar.wire.fields import is_coded

if TYPE_CHECKING:
    from sidecar.config.live import LiveSettings
    from sidecar.credentials.vault import Vault
    from sidecar.gateways.gateway import Gateway
    from sidecar.ledger.ids import Ids
    from sidecar.ledger.writer import Ledger
    from sidecar.proxy.admission import Admission
    from sidecar.proxy.agent import AgentRequest
    from sidecar.proxy.answer import Answer
    from sidecar.proxy.upstream import Upstream
    from sidecar.wire.body import Body
    from sidecar.wire.fields import ByName


@dataclass(frozen=True, slots=True)
class Parts:
    """What an exchange works with; made once, when the server starts.  `live` holds the tasks of the exchanges under way, `under_way` the
    records of those that a gateway is being tried for, oldest first.
    """

    instance: str
    settings: LiveSettings
    vault: Vault
    upstream: Upstream
    ledger: Ledger
    ids: Ids
    live: set[asyncio.Task[object]] = field(default_factory=set)
    under_way: dict[Record, None] = field(default_factory=dict)
    troubles: Troubles = field(default_factory=Troubles)
    unmapped: Unmapped = field(default_factory=Unmapped)


async def exchange(request: AgentRequest, admission: Admission, parts: Parts) -> Answer:
    """Forward one request that has been admitted, and relay the reply."""
    head, settings = request.head, admission.settings
    body: Body | None = await whole(request.body, settings.body_limit) if head.call.is_read_whole and request.body is not None else None
    seen = _peek(head.named, body)

    plan = admission.plan(seen)
    await check_budgets(settings, plan, parts.ledger)
    there, sent = mapped(plan.there, body)
    if body and (why := unmapped(plan.there, there, head.named)) is not None:
        parts.unmapped.tell(plan.caller.session, there.gateway.name, why)
    length = None if sent is None else sum(map(len, sent))
    key, secrets = await _secrets(there.gateway, parts.vault)
    fields = plan.outgoing.filled(key, secrets, length)

    record = Record(parts, plan, there, seen.stream, length or 0)
    parts.under_way[record] = None
    upload = sent if sent is not None else record.counted(pieces(request.body.arriving())) if request.body is not None else None
    reply = answer = None
    # Behind the write on an idle connection, and while a new one is being opened: a row is there also if the sidecar dies meanwhile.
    asyncio.get_running_loop().call_soon(record.open)
    try:
        reply = await parts.upstream.send(there.gateway, head.method, there.target, fields, upload, settings.timeouts.connect)
        message = await reply.head(settings.timeouts.first_byte)
        record.answered(message, (key, *secrets.values()))
        parts.troubles.answered(there.gateway, message.status)
        if message.status == 401:
            parts.vault.forget(there.gateway.name)
        answer = reply_to_agent(message, record)
        answer.start(request)
        record.ending = await relay(reply, answer, settings.timeouts.idle)
    except Refusal as refusal:
        record.refused(refusal)
        parts.troubles.failed(there.gateway, refusal)
        raise
    except ConnectionError:
        record.ending = Ending.CLIENT_GONE
        raise
    except asyncio.CancelledError:
        record.ending = Ending.CLIENT_GONE if request.connection.is_gone else Ending.CUT
        raise
    else:
        return answer
    finally:
        if reply is not None:
            reply.close()
        if answer is not None:
            answer.break_off()  # of no effect on one that is whole
        del parts.under_way[record]
        record.close()


def _peek(named: ByName, body: Body | None) -> Peek:
    return peek(body) if body and not is_coded(named) else Peek()


async def _secrets(gateway: Gateway, vault: Vault) -> tuple[str, dict[str, str]]:
    """The gateway's key, and what its secret-valued headers hold."""
    key = await vault.secret(gateway.credential, origin=gateway.origin, gateway=gateway.name)
    others = {
        name: await vault.secret(value, origin=gateway.origin, gateway=gateway.name)
        for name, value in gateway.headers
        if isinstance(value, Secret)
    }
    return key, others
