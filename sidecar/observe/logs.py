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
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from logging.handlers import QueueListener, RotatingFileHandler
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import structlog

from sidecar.observe.redact import Redactor
from sidecar.places import make_private, private_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, WrappedLogger

FILE_NAME = "sidecar.log"
FILE_LIMIT_BYTES = 5 * 1024 * 1024
OLD_FILES = 3
GATHER_SECONDS = 0.05

_redactor = lru_cache(maxsize=1)(Redactor)
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


class _Log:
    """Both loggers' door, the queue behind it and the thread that empties it."""

    def __init__(self, folder: str | None, console: bool) -> None:
        self.folder = folder
        self.console = console
        self._secrets: Callable[[], frozenset[str]] = frozenset
        self._waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        outputs: list[logging.Handler] = []
        if folder is not None:
            private_folder(folder)
            make_private((folder, *map(str, Path(folder).iterdir())))
            outputs.append(_PrivateFile(Path(folder, FILE_NAME)))
        if console:
            outputs.append(_Terminal())
        self._listener = _Listener(self._waiting, *outputs)
        self._listener.start()
        self._libraries = _Libraries()
        logging.getLogger().addHandler(self._libraries)

    def listen(self, level: int, secrets: Callable[[], frozenset[str]]) -> None:
        self._secrets = secrets
        structlog.configure(processors=[self._door], wrapper_class=structlog.make_filtering_bound_logger(level))
        # What libraries say below a warning is for those who debug.
        logging.getLogger().setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))

    def _door(self, _logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """The last processor: nothing goes on to a logger of structlog's own."""
        try:
            self._waiting.put(logging.makeLogRecord({"msg": self._written(level, event)}))
        except Exception as error:  # noqa: BLE001 - a value that cannot be written down fails no request
            self._waiting.put(logging.makeLogRecord({"msg": {"level": "error", "event": "log.failed", "error": type(error).__name__}}))
        raise structlog.DropEvent

    def _written(self, level: str, event: EventDict) -> dict[str, object]:
        redactor = _redactor(self._secrets())
        name, error = event.pop("event", ""), event.pop("exc_info", None)
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        written = {"time": moment, "level": level, **redactor.event({"event": name, **event})}
        if lines := _traceback(error):
            written["exception"] = "\n".join(redactor.text(line) for line in lines)
        return written

    def close(self) -> None:
        logging.getLogger().removeHandler(self._libraries)
        logging.getLogger().setLevel(logging.WARNING)  # as Python begins
        structlog.configure(processors=[_drop])
        self._listener.stop()
        for output in self._listener.handlers:
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


class _Listener(QueueListener):
    """Gathers: what comes within a moment of a line wakes no thread of its own, and goes out in one write with it."""

    queue: queue.SimpleQueue[logging.LogRecord]

    def dequeue(self, block: bool) -> logging.LogRecord:
        if self.queue.empty():
            for handler in self.handlers:
                handler.flush()
            time.sleep(GATHER_SECONDS)
        return super().dequeue(block)


class _PrivateFile(RotatingFileHandler):
    """JSON lines, 0600 whatever the umask, never more than `FILE_LIMIT_BYTES` in each of `1 + OLD_FILES` files."""

    def __init__(self, path: Path) -> None:
        self._size = 0
        super().__init__(path, maxBytes=FILE_LIMIT_BYTES, backupCount=OLD_FILES)

    def emit(self, record: logging.LogRecord) -> None:
        """Not flushed, and measured without asking the system: the library's own form is six system calls a line."""
        try:
            line = self.format(record) + "\n"
            size = len(line.encode("utf-8", "backslashreplace"))
            if self._size and self._size + size > FILE_LIMIT_BYTES:
                self.doRollover()
            cast("IO[str]", self.stream).write(line)
            self._size += size
        except (OSError, ValueError):
            self.handleError(record)

    def _open(self) -> IO[str]:  # type: ignore[override]
        stream = open(self.baseFilename, "a", encoding="utf-8", errors="backslashreplace", opener=_open_private)  # noqa: SIM115 - close() does
        self._size = os.fstat(stream.fileno()).st_size
        return stream

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(record.msg, ensure_ascii=False)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A full disk loses lines; it does not stop the sidecar, and stderr would be on the same disk."""


def _open_private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if sys.platform != "win32":
        os.fchmod(descriptor, 0o600)
    return descriptor


class _Terminal(logging.StreamHandler[IO[str]]):
    """`12:00:01 warning  event  field=value …`, an exception's lines indented below: nothing inside begins a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        event = dict(cast("dict[str, Any]", record.msg))
        moment, level, name, exception = (event.pop(key, "") for key in ("time", "level", "event", "exception"))
        values = (f"{key}={value if _is_plain(value) else json.dumps(value, ensure_ascii=False)}" for key, value in event.items())
        line = f"{moment[11:19]} {level:<8} " + "  ".join([name, *values])
        return "\n    ".join([line, *exception.splitlines()])


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value != "" and not set(value) & set(' "=')
