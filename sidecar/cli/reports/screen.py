"""A page that is drawn anew every so often on the terminal's other screen.  The terminal is left as it was, however it ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live

from sidecar.cli.reports.tables import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from sidecar.cli.reports.tables import Sheet

_ENDED_BY = 128
_KEYS = frozenset("qQ\x04")  # q, and the end of input


class _Suspended(Exception):
    """Ctrl-Z."""


def watch(draw: Callable[[], Sheet], every_seconds: float) -> None:
    """Until q, Ctrl-C, or a signal to end.  Raises KeyboardInterrupt, SystemExit."""
    while True:
        try:
            with _signals(), _keys() as pressed, _live() as live:
                while True:
                    live.update(draw(), refresh=True)
                    if pressed(every_seconds):
                        return
        except _Suspended:
            os.kill(os.getpid(), signal.SIGSTOP)


def _live() -> Live:
    """Drawn when told and by nobody else: no thread of rich's, and stdout stays itself."""
    return Live(console=console(), screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop")


def _waited(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _end(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not come in while the terminal is put back
    raise SystemExit(_ENDED_BY + number)


def _suspend(_number: int, _frame: FrameType | None) -> None:
    raise _Suspended


@contextmanager
def _signals() -> Iterator[None]:
    """What would end or stop the process at once comes as an exception, so that the terminal is put back first."""
    asked = {"SIGTERM": _end, "SIGHUP": _end, "SIGTSTP": _suspend}
    known = {getattr(signal, name): handler for name, handler in asked.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in known.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _keys() -> Iterator[Callable[[float], bool]]:
        def pressed(wait_seconds: float) -> bool:
            deadline = time.monotonic() + wait_seconds
            while time.monotonic() < deadline:
                if msvcrt.kbhit() and msvcrt.getwch() in _KEYS:
                    return True
                time.sleep(0.05)
            return False

        yield pressed

else:
    import select
    import termios
    import tty

    @contextmanager
    def _keys() -> Iterator[Callable[[float], bool]]:
        """Gives a function that waits so long for a key that ends; keys come one by one and are not shown."""
        if not sys.stdin.isatty():
            yield _waited
            return
        terminal = sys.stdin.fileno()

        def pressed(wait_seconds: float) -> bool:
            deadline = time.monotonic() + wait_seconds
            while (left := deadline - time.monotonic()) > 0:
                if select.select([terminal], [], [], left)[0]:
                    typed = os.read(terminal, 64)
                    if not typed or _KEYS & set(typed.decode(errors="replace")):
                        return True
            return False

        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal, termios.TCSADRAIN)
            yield pressed
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
