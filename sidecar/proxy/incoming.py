"""What is needed of an agent's request, whoever has received it: aiohttp's `BaseRequest` is one, `server/agents.py` has another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from sidecar.wire.body import Body


class Content(Protocol):
    """The body.  `read_nowait` gives it whole once `is_eof`; else `iter_any` gives it as it comes."""

    def is_eof(self) -> bool: ...

    def read_nowait(self) -> Body: ...

    def iter_any(self) -> AsyncIterator[Body]: ...


class Downstream(Protocol):
    """The agent's connection.  `transport` is None once it has closed."""

    @property
    def transport(self) -> asyncio.Transport | None: ...

    @property
    def writing_paused(self) -> bool: ...


class Writer(Protocol):
    async def drain(self) -> None: ...


class Incoming(Protocol):
    """A request behind its `wire.head.Head`."""

    @property
    def method(self) -> str: ...

    @property
    def version(self) -> tuple[int, int]: ...

    @property
    def content_length(self) -> int | None: ...

    @property
    def keep_alive(self) -> bool: ...

    @property
    def remote(self) -> str | None: ...

    @property
    def can_read_body(self) -> bool: ...

    @property
    def content(self) -> Content: ...

    @property
    def transport(self) -> asyncio.Transport | None: ...

    @property
    def protocol(self) -> Downstream: ...

    @property
    def writer(self) -> Writer: ...
