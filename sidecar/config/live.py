"""The configuration in force while the daemon runs: looked at when a request arrives, swapped when the file has changed for good.

One `stat` tells that nothing changed.  A changed file is read in a thread.  A bad or vanished one leaves the last good settings in
force; `error` says what is wrong until it is mended.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.config.load import load, parsed, read
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.settings import Settings
    from sidecar.launch.places import Places

# File times advance in ticks of the kernel's coarse clock (4 to 10 ms on Linux): two writes within one tick, of one size, look
# alike.  So a file that has just been written is read again at the next look.
_TICK_NS = 50_000_000

_Seen = tuple[int, ...]


class LiveSettings:
    """`on_change` callbacks are called, in the event loop, whenever `current` or `error` has become another."""

    def __init__(self, places: Places, settings: Settings) -> None:
        self.current = settings
        self.error: str | None = None
        self.on_change: list[Callable[[], None]] = []
        self._places = places
        # Nothing is known of the file that `settings` came from: it may have changed since, so the first look reads it.
        self._seen: _Seen | None = None
        self._reading = asyncio.Lock()

    async def refresh(self) -> Settings:
        if self._seen is None or _look(self._places.config_file) != self._seen:
            # Whoever waits here finds the work done.
            async with self._reading:
                await self._read_again()
        return self.current

    async def _read_again(self) -> None:
        look = _look(self._places.config_file)
        if look == self._seen:
            return
        before = self.current, self.error
        try:
            self.current = await asyncio.to_thread(self._load)
            self.error = None
        except ConfigError as error:
            self.error = error.message
        self._seen = look if _settled(look) else None
        if (self.current, self.error) != before:
            for callback in self.on_change:
                callback()

    def _load(self) -> Settings:
        """As `load`, but a file that is gone or empty is a fault: defaults would send requests elsewhere.

        Some editors empty a file before they write it, so for a moment every file may look so.
        """
        path = self.current.path
        if path is None:
            return load(self._places)
        name = Path(path).name
        try:
            text = read(path)
        except FileNotFoundError:
            raise ConfigError((f"{name}: the file is gone",)) from None
        if self.current.configured and not text:
            raise ConfigError((f"{name}: the file is empty",), "for the defaults: sidecar restart")
        return parsed(text, path)


def _look(path: str) -> _Seen:
    """What tells one state of the file (or of the lack of it) from another.  Owner and mode move the last of them."""
    try:
        info = os.stat(path)
    except OSError:
        return ()
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _settled(look: _Seen) -> bool:
    return not look or abs(time.time_ns() - look[-1]) > _TICK_NS
