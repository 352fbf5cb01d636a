"""A stand-in for an LLM gateway, on loopback: it speaks the Messages API, OpenAI's two formats, and remembers what came over the wire.

    async with StandIn(keys=frozenset({"the-gateway-key"})) as gateway:
        ...                       # point a sidecar at gateway.url
        gateway.received[-1]      # the last request, byte for byte

It answers every prompt by quoting it (`answer.py`, `chat.py`, `responses.py`), uses a tool when the prompt says `use tool NAME {json
input}` (`ask.py`), and misbehaves when told to (`behaviour.py`).  Paths are told by their ends, so that it stands in for gateways with any base path.
The demo and the tests talk to it; nothing of the proxy knows of it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from sidecar.demo.behaviour import Behaviour, behaviour
from sidecar.demo.formats import MESSAGES, Format, format_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from sidecar.demo.ask import Ask, Json

_MODELS: Json = {
    "data": [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        for name in ("claude-opus-4-8", "claude-sonnet-4-5", "claude-haiku-4-5")
    ],
    "has_more": False,
}
_KEY_HEADERS = ("authorization", "x-api-key", "x-edgee-api-key", "x-ai-gateway-api-key")
_FIRST_BYTE_SECONDS = 0.3
_BETWEEN_SECONDS = 0.025
_PAGE = "<!doctype html><title>403</title><h1>Request blocked</h1><p>Your request was blocked by our firewall.</p>"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived.  `fields` keep order, spelling and repeats."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> tuple[str, ...]:
        """Every value of the header `name`, given in lower case."""
        return tuple(value for field, value in self.fields if field.lower() == name)


class StandIn:
    """`keys`: the gateway keys that are let in; none: any.  `pace` stretches the pauses of a stream: 1 is lifelike, 0 is without."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, keys: frozenset[str] = frozenset(), pace: float = 1.0) -> None:
        self.received: list[Received] = []
        self.url = ""
        self._host = host
        self._port = port
        self._keys = keys
        self._pace = pace

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=512 * 2**20)
        application.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(
            application,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            max_line_size=2**20,
            max_field_size=2**20,
            max_headers=1024,
            shutdown_timeout=0.1,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fields = tuple(
            (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers
        )
        received = Received(request.method, request.raw_path, fields, body)
        self.received.append(received)
        headers = {"request-id": f"req_standin_{len(self.received):06}"}
        path = received.target.partition("?")[0]
        form = format_of(path)
        if received.method == "HEAD":
            return web.Response(headers=headers)
        if not self._lets_in(received):
            return _error(form or MESSAGES, 401, "invalid x-api-key", headers)
        if received.method == "GET" and path.endswith("/models"):
            return _json(_MODELS, headers)
        if received.method == "POST" and form is not None:
            return await self._answer(request, received, form, headers)
        return _error(form or MESSAGES, 404, f"not found: {received.method} {path}", headers)

    def _lets_in(self, received: Received) -> bool:
        shown = {value.removeprefix("Bearer ") for name in _KEY_HEADERS for value in received.values(name)}
        return not self._keys or bool(shown & self._keys)

    async def _answer(self, request: web.Request, received: Received, form: Format, headers: dict[str, str]) -> web.StreamResponse:
        try:
            asked = form.read(gzip.decompress(received.body) if "gzip" in received.values("content-encoding") else received.body)
        except (ValueError, OSError, EOFError, zlib.error) as fault:
            return _error(form, 400, str(fault), headers)
        if request.path.endswith("/count_tokens"):
            return _json({"input_tokens": asked.prompt.total}, headers)
        how = behaviour(asked.model, asked.text)
        await asyncio.sleep(self._pace * _FIRST_BYTE_SECONDS if how.first_byte is None else how.first_byte)
        if how.page:
            return web.Response(status=403, text=_PAGE, content_type="text/html", headers=headers)
        if how.error:
            return _error(form, how.error, f"the stand-in was asked for error {how.error}", headers)
        if asked.stream:
            return await self._stream(request, form, asked, how, headers)
        return _json(form.whole(asked), headers, compressed=how.gzip)

    async def _stream(self, request: web.Request, form: Format, asked: Ask, how: Behaviour, headers: dict[str, str]) -> web.StreamResponse:
        reply = web.StreamResponse(headers=headers | {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"})
        encode: Callable[[bytes, bool], bytes] = _plain
        if how.gzip:
            reply.headers["content-encoding"] = "gzip"
            encode = _flushed_gzip()
        await reply.prepare(request)
        between = self._pace * _BETWEEN_SECONDS if how.between is None else how.between
        events = list(form.stream(asked))
        if how.halfway:
            events = events[: len(events) // 2]
        for event in events:
            await reply.write(encode(event, False))
            await asyncio.sleep(between)
        match how.halfway:
            case "error":
                await reply.write(encode(form.broken(headers["request-id"]), False))
            case "cut" if request.transport:
                # Without the last chunk: what was written is delivered, and the client can tell that more was due.
                request.transport.close()
                return reply
        await reply.write(encode(b"", True))
        await reply.write_eof()
        return reply


def _plain(data: bytes, _last: bool) -> bytes:
    return data


def _flushed_gzip() -> Callable[[bytes, bool], bytes]:
    """Every event can be read as soon as it is sent."""
    packer = zlib.compressobj(wbits=31)
    return lambda data, last: packer.compress(data) + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def _json(value: object, headers: dict[str, str], *, status: int = 200, compressed: bool = False) -> web.Response:
    body = json.dumps(value, ensure_ascii=False).encode()
    coding = {"content-encoding": "gzip"} if compressed else {}
    return web.Response(
        status=status,
        body=gzip.compress(body) if compressed else body,
        headers=headers | coding | {"content-type": "application/json"},
    )


def _error(form: Format, status: int, message: str, headers: dict[str, str]) -> web.Response:
    return _json(form.error(status, message, headers["request-id"]), headers, status=status)
