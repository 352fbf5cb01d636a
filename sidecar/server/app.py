"""The listener's side: one handler for everything, the guard first, every refusal turned into an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from aiohttp import HttpVersion11, web

from sidecar.errors import Refusal
from sidecar.proxy.exchange import exchange
from sidecar.server.answers import no_content, refused
from sidecar.server.guard import admit, check_form, check_way_in
from sidecar.server.own import PREFIX
from sidecar.wire.fields import by_name, every, text

if TYPE_CHECKING:
    from sidecar.config.settings import Settings
    from sidecar.proxy.answer import Answer
    from sidecar.server.own import Own

log = structlog.get_logger("sidecar.server")

#: Agents send these bare, before anything else, to warm a connection up.
WARM_UPS = ("/", "/api/hello")
#: aiohttp's own limits (8 KiB, 128 fields) are below what Claude Code can be told to send.
MAX_FIELD = 256 * 1024
MAX_FIELDS = 512
#: Seconds to go on reading a body that was answered early, so that the agent gets to see the answer.
LINGER_SECONDS = 2.0
#: Idle connections of agents; theirs are closed when they are.
KEEPALIVE_SECONDS = 75.0

_AGENT = frozenset({"agent"})


class App:
    """`is_draining` makes every new exchange a refusal; the ones under way go on."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._looked_at = -1.0
        self._pass_key = own.pass_key.current()
        self.is_draining = False

    def runner(self) -> web.ServerRunner:
        server = web.Server(
            self._answered,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
            lingering_time=LINGER_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        return web.ServerRunner(server, shutdown_timeout=1.0)

    async def _answered(self, request: web.BaseRequest) -> Answer:
        """No exception of ours, and no page of the library's, reaches an agent."""
        try:
            return await self._handle(request)
        except Refusal as refusal:
            failure = refusal
            log.info("request.refused", code=refusal.code, method=request.method, path=request.raw_path.partition("?")[0], why=str(refusal))
        except ConnectionError:
            failure = Refusal("upstream_closed", "nobody is there to read this")
        except Exception:
            log.exception("request.failed", method=request.method)
            failure = Refusal("internal", "something went wrong here", "the log says what: sidecar logs")
        return refused(failure)

    async def _handle(self, request: web.BaseRequest) -> Answer:
        parts = self._own.parts
        settings = await self._look()
        named = by_name(request.raw_headers)
        check_way_in(request.remote, named, settings)
        check_form(request.method, request.version, named)
        if b"expect" in named:
            await _go_on(request)
        path = request.raw_path.partition("?")[0]
        if request.method == "HEAD" and path in WARM_UPS:
            parts.upstream.warm(settings.gateways[settings.gateway], settings.timeouts)
            return no_content()
        if path.startswith(PREFIX):
            return await self._own.answer(request, settings)
        bearer = admit(named, self._pass_key, _AGENT)
        if any("websocket" in text(value).lower() for value in every(named, b"upgrade")):
            raise Refusal("no_websocket", "the sidecar speaks plain HTTP; ask again without the upgrade")
        if self.is_draining:
            raise Refusal("draining", "the sidecar is shutting down", "it is back after: sidecar start")
        task = asyncio.current_task()
        if task is not None:
            parts.live.add(task)
        try:
            return await exchange(request, named, settings, bearer, parts)
        finally:
            parts.live.discard(task)

    async def _look(self) -> Settings:
        """Notice a changed configuration or pass key: one look at the two files for all requests that the event loop hands over at once."""
        live, now = self._own.parts.settings, asyncio.get_running_loop().time()
        if now != self._looked_at:
            await live.refresh()
            self._pass_key = self._own.pass_key.current()
            self._looked_at = now
        return live.current


async def _go_on(request: web.BaseRequest) -> None:
    """Whoever waits for a 100 gets it; what else a request may expect is ignored (RFC 9110 section 10.1.1), not refused."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
