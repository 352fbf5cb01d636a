"""Answers every request that reaches the port.

The guard comes first, then the sidecar's own paths, then the exchange with a gateway.  Every refusal becomes an answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from sidecar.errors import Refusal
from sidecar.proxy.exchange import exchange
from sidecar.server.agents import KEEPALIVE_SECONDS, LINGER_SECONDS, Listener
from sidecar.server.answers import no_content, refused
from sidecar.server.guard import admit, check_form, check_way_in
from sidecar.server.own import PREFIX
from sidecar.wire.fields import every, first, text
from sidecar.wire.head import MOST_HEADS, Head

if TYPE_CHECKING:
    from sidecar.config.settings import Settings
    from sidecar.launch.passes import Pass
    from sidecar.proxy.answer import Answer
    from sidecar.proxy.incoming import Incoming
    from sidecar.server.own import Own

log = structlog.get_logger("sidecar.server")

#: Agents send a HEAD without a pass to one of these paths when they start, to have a connection ready.
WARM_UPS = ("/", "/api/hello")
#: aiohttp's own limits (8 KiB, 128 fields) are below what Claude Code can be told to send.
MAX_FIELD = 256 * 1024
MAX_FIELDS = 512

_AGENT = frozenset({"agent"})


class App:
    """`is_draining` refuses every new exchange.  Those under way go on."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._refreshed_at = -1.0
        self._pass_key = own.pass_key.current()
        self._settings: Settings | None = None
        self._admitted: dict[tuple[Head, str | None], Pass] = {}
        self._listener: Listener | None = None
        self.is_draining = False

    def listener(self) -> Listener:
        others = web.Server(
            self._answer_other,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
            lingering_time=LINGER_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        self._listener = Listener(self._answer, others)
        return self._listener

    async def _answer_other(self, request: web.BaseRequest) -> Answer:
        if self._listener is not None:
            self._listener.head_came(request.transport)
        head = Head(request.method, request.raw_path, request.raw_headers, request.version)
        return await self._answer(head, request)

    async def _answer(self, head: Head, request: Incoming) -> Answer:
        """The answer to one request.  A refusal or an exception becomes one, so that aiohttp never sends a page of its own."""
        try:
            return await self._handle(head, request)
        except Refusal as refusal:
            log.info("request.refused", code=refusal.code, method=head.method, path=head.raw_path.partition("?")[0], why=str(refusal))
            _drop_tracebacks(refusal)
            return refused(refusal)
        except ConnectionError:
            return refused(Refusal("upstream_closed", "nobody is there to read this"))
        except Exception as error:
            log.exception("request.failed", method=head.method)
            _drop_tracebacks(error)
            return refused(Refusal("internal", "something went wrong here", "the log says what: sidecar logs"))

    async def _handle(self, head: Head, request: Incoming) -> Answer:
        parts = self._own.parts
        settings = await self._current_settings()
        bearer = self._admitted.get((head, request.remote))
        if bearer is None or bearer.expires <= time.time():
            check_way_in(request.remote, head.named, settings)
            check_form(head)
            if b"expect" in head.named:
                _send_continue(head, request)
            path = head.raw_path.partition("?")[0]
            if head.method == "HEAD" and path in WARM_UPS:
                parts.upstream.warm(settings.gateways[settings.gateway], settings.timeouts)
                return no_content()
            if path.startswith(PREFIX):
                return await self._own.answer(head, request, settings)
            bearer = admit(head.named, self._pass_key, _AGENT)
            if any("websocket" in text(value).lower() for value in every(head.named, b"upgrade")):
                raise Refusal("no_websocket", "the sidecar speaks plain HTTP; ask again without the upgrade")
            self._remember(head, request.remote, bearer)
        if self.is_draining:
            raise Refusal("draining", "the sidecar is shutting down", "it is back after: sidecar start")
        task = asyncio.current_task()
        if task is not None:
            parts.live.add(task)
        try:
            return await exchange(head, request, settings, bearer, parts)
        finally:
            parts.live.discard(task)
            del task  # a task that is cancelled keeps its traceback, and that this frame: a circle around the request's body

    def _remember(self, head: Head, remote: str | None, bearer: Pass) -> None:
        """Keep the admission of a shared head, until the configuration or the pass key changes or the pass expires."""
        if head.is_shared:
            if len(self._admitted) >= MOST_HEADS:
                self._admitted.clear()
            self._admitted[head, remote] = bearer

    async def _current_settings(self) -> Settings:
        """The settings in force.  Both files are checked for changes once per round of the event loop, whatever the number of requests."""
        live, now = self._own.parts.settings, asyncio.get_running_loop().time()
        if now != self._refreshed_at:
            await live.refresh()
            pass_key = self._own.pass_key.current()
            if live.current is not self._settings or pass_key != self._pass_key:
                self._admitted.clear()
            self._settings, self._pass_key, self._refreshed_at = live.current, pass_key, now
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


def _send_continue(head: Head, request: Incoming) -> None:
    """Send the 100 that a client waits for.  Any other expectation is ignored, as RFC 9110 section 10.1.1 allows."""
    if head.version >= (1, 1) and request.transport is not None and (first(head.named, b"expect") or b"").lower() == b"100-continue":
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
