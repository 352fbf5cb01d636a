"""The log: structlog events as JSON lines in `logs/sidecar.log`, and in a readable form on a terminal.

Every event goes through one door: those of `structlog.get_logger()`, and those of the standard library's loggers, which aiohttp,
asyncio and keyring write to.  At the door secrets and control characters are taken out; what comes through waits in a queue for a
thread that writes, so that a slow disk or a stopped terminal holds up no request.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
import traceback
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from msgspec.structs import asdict, astuple

from sidecar.clock import moment
from sidecar.launch.places import make_private, private_folder
from sidecar.observe.redact import redactor_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from structlog.typing import EventDict, WrappedLogger

    from sidecar.ledger.row import Row

FILE_NAME = "sidecar.log"
FILE_LIMIT_BYTES = 5 * 1024 * 1024
OLD_FILES = 3
GATHER_SECONDS = 0.05

_encoded = msgspec.json.Encoder().encode
_open_log: _Log | None = None


def configure(level: str, folder: str | None, secrets: Callable[[], frozenset[str]], console: bool) -> None:
    """Log events of at least `level`: to a file in `folder`, made if missing, and with `console` to stderr.

    `secrets` gives the values that are in use at the moment of an event.  Called again, it changes what was said before.
    """
    global _open_log  # noqa: PLW0603 - a process has one log
    if _open_log is None or (_open_log.folder, _open_log.console) != (folder, console):
        close()
        _open_log = _Log(folder, console)
    _open_log.listen(logging.getLevelNamesMapping()[level.upper()], secrets)


def close() -> None:
    """Write what is waiting, then end the thread.  Events that come later are dropped."""
    global _open_log  # noqa: PLW0603 - a process has one log
    if _open_log is not None:
        _open_log.close()
        _open_log = None


def record_failure(folder: str, event: str, error: BaseException, **fields: object) -> None:
    """Append one error with its traceback to the log file, from a process whose own log is not open.  Raises OSError."""
    private_folder(folder)
    redactor = redactor_for(frozenset())
    lines = "\n".join(redactor.text(line) for line in _traceback(error))
    line = redactor.event({"time": moment(time.time()), "level": "error", "event": event, **fields}) | {"exception": lines}
    with open(os.path.join(folder, FILE_NAME), "ab", opener=_open_private) as file:
        file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def log_exchange(row: Row, gave_up: str | None) -> None:
    """The one event of an exchange: its row in the ledger, as far as anything is known; `metering` says why that ended early.

    Past structlog, whose binding and copying cost 10 µs a line; through the same door.
    """
    if _open_log is not None:
        _open_log.exchange(row, gave_up)


class _Log:
    """Both loggers' door, the queue of lines behind it and the thread that empties it."""

    def __init__(self, folder: str | None, console: bool) -> None:
        self.folder = folder
        self.console = console
        self._level = logging.INFO
        self._secrets: Callable[[], frozenset[str]] = frozenset
        self._outputs: list[_File | _Terminal] = []
        if folder is not None:
            private_folder(folder)
            make_private((folder, *map(str, Path(folder).iterdir())))
            self._outputs.append(_File(os.path.join(folder, FILE_NAME)))
        if console:
            self._outputs.append(_Terminal())
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._work, name="sidecar-log", daemon=True)
        self._writer.start()
        self._libraries = _Libraries()
        logging.getLogger().addHandler(self._libraries)

    def listen(self, level: int, secrets: Callable[[], frozenset[str]]) -> None:
        self._level, self._secrets = level, secrets
        structlog.configure(processors=[self._door], wrapper_class=structlog.make_filtering_bound_logger(level))
        # What libraries say below a warning is for those who debug.
        logging.getLogger().setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))

    def exchange(self, row: Row, gave_up: str | None) -> None:
        if self._level > logging.INFO:
            return
        if gave_up is None and redactor_for(self._secrets()).are_harmless(astuple(row)):
            head = f'{{"time":"{moment(time.time())}","level":"info","event":"exchange.done",'
            self._waiting.put(head.encode() + _encoded(row)[1:])
        else:
            known = {name: value for name, value in (*asdict(row).items(), ("metering", gave_up)) if value is not None}
            self._take("info", "exchange.done", known)

    def _door(self, _logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """The last processor: nothing goes on to a logger of structlog's own."""
        name, error = event.pop("event", ""), event.pop("exc_info", None)
        self._take(level, name, event, error)
        raise structlog.DropEvent

    def _take(self, level: str, name: str, fields: Mapping[str, object], error: object = None) -> None:
        try:
            self._waiting.put(self._line(level, name, fields, error))
        except Exception as failure:  # noqa: BLE001 - a value that cannot be written down fails no request
            self._waiting.put(json.dumps({"level": "error", "event": "log.failed", "error": type(failure).__name__}).encode())

    def _line(self, level: str, name: str, fields: Mapping[str, object], error: object) -> bytes:
        redactor = redactor_for(self._secrets())
        event = {"time": moment(time.time()), "level": level, "event": name, **fields}
        if lines := _traceback(error):
            exception = "\n".join(redactor.text(line) for line in lines)
            return json.dumps(redactor.event(event) | {"exception": exception}, ensure_ascii=False).encode()
        return redactor.line(event)

    def _work(self) -> None:
        """Gathers: what comes within a moment of a line wakes nobody, and goes out in one write with it."""
        lines: list[bytes | None] = []
        while None not in lines:
            lines = [self._waiting.get()]
            self._closing.wait(GATHER_SECONDS)
            with suppress(queue.Empty):
                while True:
                    lines.append(self._waiting.get_nowait())
            for output in self._outputs:
                output.write(line for line in lines if line is not None)

    def close(self) -> None:
        logging.getLogger().removeHandler(self._libraries)
        logging.getLogger().setLevel(logging.WARNING)  # as Python begins
        structlog.configure(processors=[_drop])
        self._waiting.put(None)
        self._closing.set()
        self._writer.join()
        for output in self._outputs:
            output.close()


def _drop(_logger: WrappedLogger, _level: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


def _traceback(exc_info: object) -> list[str]:
    """The lines for what `exc_info` may be: an exception, `sys.exc_info()`'s triple, or True for the exception at hand."""
    error = exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1] if exc_info is True else exc_info
    if not isinstance(error, BaseException):
        return []
    return [line for part in traceback.format_exception(error) for line in part.splitlines()]


class _Libraries(logging.Handler):
    """Brings what the standard library's loggers are told to the door."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        if _is_malformed_request(error):
            # aiohttp reports each with a traceback, whose message quotes the bytes that came.
            log.warning("request.malformed", logger=record.name, error=type(error).__name__)
            return
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's format string that does not fit its arguments
            message = str(record.msg)
        log.log(level, message, logger=record.name, exc_info=error)


def _is_malformed_request(error: BaseException | None) -> bool:
    return any(kind.__module__ == "aiohttp.http_exceptions" for kind in type(error).__mro__)


class _File:
    """JSON lines, 0600 whatever the umask, never more than `FILE_LIMIT_BYTES` in each of `1 + OLD_FILES` files.

    A full disk loses lines; it does not stop the sidecar, and stderr would be on the same disk.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._open()

    def write(self, lines: Iterable[bytes]) -> None:
        with suppress(OSError, ValueError):  # ValueError: none could be opened after a rotation
            for line in lines:
                if self._size and self._size + len(line) >= FILE_LIMIT_BYTES:
                    self._rotate()
                self._file.write(line + b"\n")
                self._size += len(line) + 1
            self._file.flush()

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _open(self) -> None:
        self._file = open(self._path, "ab", opener=_open_private)  # noqa: SIM115 - close() does
        self._size = os.fstat(self._file.fileno()).st_size

    def _rotate(self) -> None:
        self.close()
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, OLD_FILES + 1))]
        with suppress(OSError):  # a file that is open elsewhere, on Windows
            for newer, older in reversed([*pairwise(names)]):
                if os.path.exists(newer):
                    os.replace(newer, older)
        self._open()


def _open_private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if sys.platform != "win32":
        os.fchmod(descriptor, 0o600)
    return descriptor


class _Terminal:
    """`12:00:01 warning  event  field=value …`, an exception's lines indented below: nothing inside begins a line of its own."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            with suppress(OSError, ValueError):  # a terminal that is gone, or has no such character
                self._stream.write(_readable(json.loads(line)) + "\n")
        with suppress(OSError, ValueError):
            self._stream.flush()

    def close(self) -> None:
        """It is the process's own."""


def _readable(event: dict[str, Any]) -> str:
    moment, level, name, exception = (event.pop(key, "") for key in ("time", "level", "event", "exception"))
    values = (f"{key}={value if _is_plain(value) else json.dumps(value, ensure_ascii=False)}" for key, value in event.items())
    line = f"{moment[11:19]} {level:<8} " + "  ".join([name, *values])
    return "\n    ".join([line, *exception.splitlines()])


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value != "" and not set(value) & set(' "=')
