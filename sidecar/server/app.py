"""Answers every request that reaches the port.

The guard comes first, then the sidecar's own paths, then the exchange with a gateway.  Every refusal becomes an answer.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from typing import TYPE_CHECKING

import structlog

from sidecar.errors import Refusal
from sidecar.proxy.admission import Admission
from sidecar.proxy.exchange import exchange
from sidecar.server.answers import no_content, refused
from sidecar.server.guard import admit, check_form, check_peer, check_site
from sidecar.server.listener import Listener
from sidecar.server.own import is_own
from sidecar.server.through_aiohttp import Written, agent_request, server
from sidecar.wire.fields import every, first, text

if TYPE_CHECKING:
    from aiohttp import web

    from sidecar.config.settings import Settings
    from sidecar.proxy.agent import AgentRequest
    from sidecar.proxy.answer import Answer
    from sidecar.server.own import Own
    from sidecar.wire.head import Head

log = structlog.get_logger("sidecar.server")

#: Agents send a HEAD without a pass to one of these paths when they start, to have a connection ready.
WARM_UPS = ("/", "/api/hello")
_AGENT = frozenset({"agent"})


class App:
    """`is_draining` refuses every new exchange.  Those under way go on."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._refreshed_at = -1.0
        self._pass_key = own.pass_key.current()
        self._user = getpass.getuser()
        self.is_draining = False

    def listener(self) -> Listener:
        """Make the port's listener, whose connections are all answered here."""
        listener = Listener(self.serve, server(lambda request: self._serve_other(request, listener)))
        return listener

    async def serve(self, request: AgentRequest) -> bool:
        """Answer an agent's request, and return whether its connection may carry another one.  Raises ConnectionError."""
        try:
            answer = await self._exchange(request)
        except Exception as error:  # noqa: BLE001  # a refusal or a fault; either is an answer
            answer = refused(_as_refusal(error, request.head))
        return await _written(answer, request)

    async def _serve_other(self, request: web.Request, listener: Listener) -> web.StreamResponse:
        """Answer a request that aiohttp has read.  Every refusal and every fault is answered here, and not by a page of aiohttp's."""
        listener.head_came(request.transport)
        asked = agent_request(request)
        try:
            if not is_own(asked.head):
                return Written(keep_alive=await self.serve(asked))
            try:
                settings = await self._current_settings()
                check_peer(asked.connection.peer, settings)
                _check_head(asked, settings)
                return await self._own.answer(request)
            except Exception as error:  # noqa: BLE001  # as above
                return Written(keep_alive=await _written(refused(_as_refusal(error, asked.head)), asked))
        except ConnectionError:
            return Written(keep_alive=False)

    async def _exchange(self, request: AgentRequest) -> Answer:
        parts, head, known = self._own.parts, request.head, request.known
        settings = await self._current_settings()
        check_peer(request.connection.peer, settings)
        admission = known.admission
        if admission is None or not admission.holds(settings, self._pass_key, time.time()):
            _check_head(request, settings)
            path = head.raw_path.partition("?")[0]
            if head.method == "HEAD" and path in WARM_UPS:
                parts.upstream.warm(settings.gateways[settings.gateway], settings.timeouts)
                return no_content()
            admission = known.admission = self._admit(head, settings)
        if self.is_draining:
            raise Refusal("draining", "the sidecar is shutting down", "it is back after: sidecar start")
        task = asyncio.current_task()
        if task is not None:
            parts.live.add(task)
        try:
            return await exchange(request, admission, parts)
        finally:
            parts.live.discard(task)
            del task  # a task that is cancelled keeps its traceback, and that this frame: a circle around the request's body

    def _admit(self, head: Head, settings: Settings) -> Admission:
        """Decide on the pass that `head` holds.  Raises `Refusal`."""
        bearer = admit(head.named, self._pass_key, _AGENT)
        if any("websocket" in text(value).lower() for value in every(head.named, b"upgrade")):
            raise Refusal("no_websocket", "the sidecar speaks plain HTTP; ask again without the upgrade")
        return Admission(head, settings, self._pass_key, bearer, self._user)

    async def _current_settings(self) -> Settings:
        """The settings in force.  Both files are checked for changes once per round of the event loop, whatever the number of requests."""
        live, now = self._own.parts.settings, asyncio.get_running_loop().time()
        if now != self._refreshed_at:
            await live.refresh()
            self._pass_key, self._refreshed_at = self._own.pass_key.current(), now
        return live.current


def _drop_tracebacks(error: BaseException | None) -> None:
    """Drop the tracebacks of `error` and of the errors that led to it.

    They hold every frame of the exchange, and with them the request's body.  Whoever still holds the error (a future that several requests
    wait for, a frame of its own traceback) would keep the body until the garbage collector's next run.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _check_head(request: AgentRequest, settings: Settings) -> None:
    """Check all of a head but the pass: the paths differ in which they want.  Raises `Refusal`."""
    check_site(request.head.named, settings)
    check_form(request.head)
    if b"expect" in request.head.named:
        _send_continue(request)


def _send_continue(request: AgentRequest) -> None:
    """Send the 100 that a client waits for.  Any other expectation is ignored, as RFC 9110 section 10.1.1 allows."""
    head, connection = request.head, request.connection
    if head.version >= (1, 1) and (first(head.named, b"expect") or b"").lower() == b"100-continue" and not connection.is_gone:
        connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _as_refusal(error: Exception, head: Head) -> Refusal:
    """The refusal that `error` is answered with.  The log says what happened."""
    if isinstance(error, Refusal):
        log.info("request.refused", code=error.code, method=head.method, path=head.raw_path.partition("?")[0], why=str(error))
        refusal = error
    elif isinstance(error, ConnectionError):
        return Refusal("upstream_closed", "nobody is there to read this")
    else:
        log.error("request.failed", method=head.method, exc_info=error)
        refusal = Refusal("internal", "something went wrong here", "the log says what: sidecar logs")
    _drop_tracebacks(error)
    return refusal


async def _written(answer: Answer, request: AgentRequest) -> bool:
    """Write what is not written yet of `answer`, and return whether the connection may carry another request."""
    if not answer.has_started:
        answer.start(request)
    await answer.finish()
    return answer.keep_alive
