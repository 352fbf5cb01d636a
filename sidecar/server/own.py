"""The sidecar's own paths below `/_sidecar/`: what the commands ask a running daemon."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qs

from sidecar import __version__
from sidecar.budgets.words import told
from sidecar.errors import CredentialFailed, NoCredential, Refusal
from sidecar.launch.names import no_gateway
from sidecar.launch.passes import health_proof
from sidecar.ledger.newest import Newest, newest_request
from sidecar.ledger.reports import report, report_of_run
from sidecar.proxy.budgets import counts, standing
from sidecar.proxy.upload import pieces
from sidecar.server.answers import answer, no_content
from sidecar.server.guard import admit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidecar.config.settings import Settings
    from sidecar.credentials.vault import Variables
    from sidecar.launch.passes import Pass
    from sidecar.launch.passkey import PassKey
    from sidecar.launch.places import Places
    from sidecar.proxy.answer import Answer
    from sidecar.proxy.exchange import Parts
    from sidecar.proxy.incoming import Incoming
    from sidecar.server.state import Publisher
    from sidecar.wire.head import Head


class Stop(Protocol):
    def __call__(self, *, now: bool, handover: bool) -> None: ...


PREFIX = "/_sidecar/"
#: Larger than a shell's environment can be (on Linux 128 KiB for one string, 2 MiB in all).
MAX_BODY = 4 * 1024 * 1024

_CONTROL = frozenset({"control"})
_ANYBODY = frozenset({"control", "agent"})


class _Asked(NamedTuple):
    """An admitted request to an own path.  `given` holds the first value of each name in its query."""

    bearer: Pass
    request: Incoming
    settings: Settings
    given: dict[str, str]


@dataclass(frozen=True, slots=True)
class Own:
    """Answers the own paths.  `stop` begins this sidecar's shutdown."""

    places: Places
    parts: Parts
    pass_key: PassKey
    variables: Variables
    publisher: Publisher
    stop: Stop

    async def answer(self, head: Head, request: Incoming, settings: Settings) -> Answer:
        path, _, query = head.raw_path.partition("?")
        given = {name: values[0] for name, values in parse_qs(query).items()}
        if head.method == "GET" and path == PREFIX + "health":
            return self._health(settings, given)
        handlers: dict[tuple[str, str], tuple[frozenset[str], Callable[[_Asked], Awaitable[Answer]]]] = {
            ("GET", "status"): (_CONTROL, self._status),
            ("GET", "streams"): (_CONTROL, self._streams),
            ("GET", "usage"): (_ANYBODY, self._usage),
            ("GET", "credential"): (_CONTROL, self._credential),
            ("POST", "variables"): (_CONTROL, self._variables),
            ("POST", "forget"): (_CONTROL, self._forget),
            ("POST", "stop"): (_CONTROL, self._stop),
        }
        scopes, handler = handlers.get((head.method, path.removeprefix(PREFIX)), (_ANYBODY, None))
        bearer = admit(head.named, self.pass_key.current(), scopes)
        if handler is None:
            raise Refusal("not_found", f"the sidecar has no {head.method} {path[:80]}")
        return await handler(_Asked(bearer, request, settings, given))

    def _health(self, settings: Settings, given: dict[str, str]) -> Answer:
        """Who this sidecar is.  With `warm=GATEWAY` an agent is about to start, so a connection to that gateway is opened."""
        if (gateway := settings.gateways.get(given.get("warm", ""))) is not None:
            self.parts.upstream.warm(gateway, settings.timeouts)
        value = {"name": "sidecar", "version": __version__, "instance": self.parts.instance}
        if "nonce" in given:
            value["proof"] = health_proof(self.pass_key.current(), given["nonce"][:256])
        return answer(value)

    async def _status(self, asked: _Asked) -> Answer:
        budgets = [told(account, spent) for account, spent in await standing(asked.settings.budgets, self.parts.ledger)]
        return answer(
            self.publisher.status(asked.settings, len(self.parts.live))
            | {"budgets": budgets, "troubles": [each._asdict() for each in self.parts.troubles]}
        )

    async def _streams(self, _asked: _Asked) -> Answer:
        return answer({"streams": [record.under_way() for record in self.parts.under_way]})

    async def _usage(self, asked: _Asked) -> Answer:
        """The figures of one session.  An agent's pass gets those of its own run alone, whichever session it names."""
        bearer, ledger = asked.bearer, self.places.ledger
        health = {"error": self.parts.ledger.error}
        if health["error"] and not await asyncio.to_thread(os.path.isfile, ledger):
            return answer({"rows": [], "gateway": None, "budgets": [], "ledger": health})
        session = asked.given.get("session") or bearer.session or bearer.run
        if bearer.scope == "control":
            newest = await asyncio.to_thread(newest_request, ledger, session, None)
            used = await asyncio.to_thread(report, ledger, by="session", session=session)
        else:
            newest = await asyncio.to_thread(newest_request, ledger, session, bearer.run)
            if newest is None and session not in {bearer.session, bearer.run}:
                raise Refusal("forbidden_scope", "an agent's pass reads what its own run did, and nothing else")
            used = await asyncio.to_thread(report_of_run, ledger, session, bearer.run)
        budgets = await self._budgets_of(asked.settings, session, newest) if newest is not None else []
        gateway = newest.gateway if newest else None
        trouble = self.parts.troubles.of(gateway) if gateway else None
        return answer({**used, "gateway": gateway, "budgets": budgets, "ledger": health, "trouble": trouble and trouble._asdict()})

    async def _budgets_of(self, settings: Settings, session: str, newest: Newest) -> list[dict[str, object]]:
        """The state of every budget that holds for the session.  A budget per session is left out if other runs have spent from it."""
        return [
            told(account, spent)
            for account, spent in await standing(settings.budgets, self.parts.ledger)
            if counts(account, session, newest.gateway, newest.tags) and not (account.session is not None and newest.is_shared)
        ]

    async def _credential(self, asked: _Asked) -> Answer:
        name = asked.given.get("gateway") or asked.settings.gateway
        gateway = asked.settings.gateways.get(name)
        if gateway is None:
            raise Refusal("unknown_gateway", *no_gateway(name, asked.settings.gateways))
        where = error = None
        state = "none"
        try:
            found = await self.parts.vault.lookup(gateway.credential, origin=gateway.origin, gateway=name)
            if found is not None:
                where, state = found.where, "there"
        except NoCredential as problem:
            error, state = str(problem), problem.state
        except CredentialFailed as problem:
            error, state = str(problem), problem.state
        self.publisher.key_seen(name, there=where is not None)
        trouble = self.parts.troubles.of(name)
        return answer(
            {
                "gateway": name,
                "key": where is not None,
                "where": where,
                "error": error,
                "state": state,
                "trouble": trouble and trouble._asdict(),
            }
        )

    async def _variables(self, asked: _Asked) -> Answer:
        value = await _json_object(asked.request)
        if self.variables.update({name: text for name, text in value.items() if isinstance(text, str)}, asked.settings.variables):
            self.parts.vault.forget()
            self.parts.upstream.look_again()
            self.publisher.keys_unknown()
        return no_content()

    async def _forget(self, asked: _Asked) -> Answer:
        gateway = (await _json_object(asked.request)).get("gateway")
        gateway = gateway if isinstance(gateway, str) else None
        self.parts.vault.forget(gateway)
        self.parts.troubles.forget(gateway)
        self.publisher.keys_unknown()
        return no_content()

    async def _stop(self, asked: _Asked) -> Answer:
        value = await _json_object(asked.request)
        self.stop(now=value.get("now") is True, handover=value.get("handover") is True)
        return answer({"streams": len(self.parts.live)})


async def _json_object(request: Incoming) -> dict[str, object]:
    body = b""
    async for piece in pieces(request.content.iter_any()):
        body += piece
        if len(body) > MAX_BODY:
            raise Refusal("request_too_large", f"a control request of more than {MAX_BODY} bytes")
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal("bad_request", "a JSON object was expected")
    return value
