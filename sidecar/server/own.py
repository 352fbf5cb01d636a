"""The sidecar's own paths below `/_sidecar/`: what the commands ask a running daemon."""

from __future__ import annotations

import asyncio
import functools
import json
import os
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs

from aiohttp import web

from sidecar import __version__
from sidecar.budgets.words import told
from sidecar.errors import CredentialFailed, NoCredential, Refusal
from sidecar.launch.names import no_gateway
from sidecar.launch.passes import health_proof
from sidecar.ledger.newest import Newest, newest_request
from sidecar.ledger.reports import report, report_of_run
from sidecar.proxy.budgets import counts, standing
from sidecar.proxy.upload import pieces
from sidecar.server.guard import admit
from sidecar.wire.fields import by_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sidecar.config.settings import Settings
    from sidecar.credentials.vault import Variables
    from sidecar.launch.passes import Pass
    from sidecar.launch.passkey import PassKey
    from sidecar.launch.places import Places
    from sidecar.proxy.exchange import Parts
    from sidecar.server.state import Publisher
    from sidecar.wire.head import Head


class Stop(Protocol):
    def __call__(self, *, now: bool, handover: bool) -> None: ...


PREFIX = "/_sidecar/"
#: Larger than a shell's environment can be (on Linux 128 KiB for one string, 2 MiB in all).
MAX_BODY = 4 * 1024 * 1024

#: Otherwise aiohttp would name itself and Python.
_SERVER = {"Server": "sidecar"}
_CONTROL = frozenset({"control"})
_ANYBODY = frozenset({"control", "agent"})


def is_own(head: Head) -> bool:
    """True if the request is for the sidecar itself, and goes to no gateway."""
    return head.raw_path.startswith(PREFIX)


class Own:
    """Answers the own paths.  `stop` begins this sidecar's shutdown."""

    def __init__(self, places: Places, parts: Parts, pass_key: PassKey, variables: Variables, publisher: Publisher, stop: Stop) -> None:
        self.parts = parts
        self.pass_key = pass_key
        self._places = places
        self._variables = variables
        self._publisher = publisher
        self._stop = stop
        self._router = web.UrlDispatcher()
        self._router.add_route("GET", PREFIX + "health", self._health)
        self._add("GET", "status", _CONTROL, self._status)
        self._add("GET", "streams", _CONTROL, self._streams)
        self._add("GET", "usage", _ANYBODY, self._usage)
        self._add("GET", "credential", _CONTROL, self._credential)
        self._add("POST", "variables", _CONTROL, self._set_variables)
        self._add("POST", "forget", _CONTROL, self._forget)
        self._add("POST", "stop", _CONTROL, self._begin_stop)

    def _add(self, method: str, path: str, scopes: frozenset[str], handler: Callable[[web.Request, Pass], Awaitable[web.Response]]) -> None:
        """Add a path that is opened by a pass of one of `scopes`."""

        async def admitted(request: web.Request) -> web.Response:
            return await handler(request, self._admit(request, scopes))

        self._router.add_route(method, PREFIX + path, admitted)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that the guard has let in.  Raises `Refusal`."""
        found = await self._router.resolve(request)
        if found.http_exception is not None:
            self._admit(request, _ANYBODY)  # whoever holds no pass does not learn which paths there are
            raise Refusal("not_found", f"the sidecar has no {request.method} {request.raw_path.partition('?')[0][:80]}")
        return await found.handler(request)

    def _admit(self, request: web.Request, scopes: frozenset[str]) -> Pass:
        return admit(by_name(request.raw_headers), self.pass_key.current(), scopes)

    @property
    def _settings(self) -> Settings:
        return self.parts.settings.current

    async def _health(self, request: web.Request) -> web.Response:
        """Who this sidecar is.  With `warm=GATEWAY` an agent is about to start, so a connection to that gateway is opened."""
        query, settings = _query(request), self._settings
        if (gateway := settings.gateways.get(query.get("warm", ""))) is not None:
            self.parts.upstream.warm(gateway, settings.timeouts)
        value = {"name": "sidecar", "version": __version__, "instance": self.parts.instance}
        if "nonce" in query:
            value["proof"] = health_proof(self.pass_key.current(), query["nonce"][:256])
        return _json(value)

    async def _status(self, _request: web.Request, _bearer: Pass) -> web.Response:
        budgets = [told(account, spent) for account, spent in await standing(self._settings.budgets, self.parts.ledger)]
        return _json(
            self._publisher.status(self._settings, len(self.parts.live))
            | {"budgets": budgets, "troubles": [each._asdict() for each in self.parts.troubles]}
        )

    async def _streams(self, _request: web.Request, _bearer: Pass) -> web.Response:
        return _json({"streams": [record.under_way() for record in self.parts.under_way]})

    async def _usage(self, request: web.Request, bearer: Pass) -> web.Response:
        """The figures of one session.  An agent's pass gets those of its own run alone, whichever session it names."""
        ledger = self._places.ledger
        health = {"error": self.parts.ledger.error}
        if health["error"] and not await asyncio.to_thread(os.path.isfile, ledger):
            return _json({"rows": [], "gateway": None, "budgets": [], "ledger": health})
        session = _query(request).get("session") or bearer.session or bearer.run
        if bearer.scope == "control":
            newest = await asyncio.to_thread(newest_request, ledger, session, None)
            used = await asyncio.to_thread(report, ledger, by="session", session=session)
        else:
            newest = await asyncio.to_thread(newest_request, ledger, session, bearer.run)
            if newest is None and session not in {bearer.session, bearer.run}:
                raise Refusal("forbidden_scope", "an agent's pass reads what its own run did, and nothing else")
            used = await asyncio.to_thread(report_of_run, ledger, session, bearer.run)
        budgets = await self._budgets_of(self._settings, session, newest) if newest is not None else []
        gateway = newest.gateway if newest else None
        trouble = self.parts.troubles.of(gateway) if gateway else None
        return _json({**used, "gateway": gateway, "budgets": budgets, "ledger": health, "trouble": trouble and trouble._asdict()})

    async def _budgets_of(self, settings: Settings, session: str, newest: Newest) -> list[dict[str, object]]:
        """The state of every budget that holds for the session.  A budget per session is left out if other runs have spent from it."""
        return [
            told(account, spent)
            for account, spent in await standing(settings.budgets, self.parts.ledger)
            if counts(account, session, newest.gateway, newest.tags) and not (account.session is not None and newest.is_shared)
        ]

    async def _credential(self, request: web.Request, _bearer: Pass) -> web.Response:
        settings = self._settings
        name = _query(request).get("gateway") or settings.gateway
        gateway = settings.gateways.get(name)
        if gateway is None:
            raise Refusal("unknown_gateway", *no_gateway(name, settings.gateways))
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
        self._publisher.key_seen(name, there=where is not None)
        trouble = self.parts.troubles.of(name)
        return _json(
            {
                "gateway": name,
                "key": where is not None,
                "where": where,
                "error": error,
                "state": state,
                "trouble": trouble and trouble._asdict(),
            }
        )

    async def _set_variables(self, request: web.Request, _bearer: Pass) -> web.Response:
        value = await _json_object(request)
        if self._variables.update({name: text for name, text in value.items() if isinstance(text, str)}, self._settings.variables):
            self.parts.vault.forget()
            self.parts.upstream.look_again()
            self._publisher.keys_unknown()
        return _no_content()

    async def _forget(self, request: web.Request, _bearer: Pass) -> web.Response:
        gateway = (await _json_object(request)).get("gateway")
        gateway = gateway if isinstance(gateway, str) else None
        self.parts.vault.forget(gateway)
        self.parts.troubles.forget(gateway)
        self._publisher.keys_unknown()
        return _no_content()

    async def _begin_stop(self, request: web.Request, _bearer: Pass) -> web.Response:
        value = await _json_object(request)
        self._stop(now=value.get("now") is True, handover=value.get("handover") is True)
        return _json({"streams": len(self.parts.live)})


def _query(request: web.Request) -> dict[str, str]:
    """The first value of each name in the query."""
    return {name: values[0] for name, values in parse_qs(request.raw_path.partition("?")[2]).items()}


def _json(value: object) -> web.Response:
    return web.json_response(value, headers=_SERVER, dumps=functools.partial(json.dumps, ensure_ascii=False))


def _no_content() -> web.Response:
    return web.Response(status=204, headers=_SERVER)


async def _json_object(request: web.Request) -> dict[str, object]:
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
