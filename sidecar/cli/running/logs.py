"""`sidecar logs`: the log's JSON lines for people, also while they are being written.

An exchange is one line of at most `WIDTH` columns; `--json` has all of its fields.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sidecar.errors import UsageError
from sidecar.launch.figures import count, dollars, duration
from sidecar.launch.surroundings import note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Mapping

#: The columns that the line of an exchange takes at most.
WIDTH = 100

_POLL_SECONDS = 0.2
_FIRST = ("time", "level", "event")
_EXCHANGE = "exchange.done"
_INPUT = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
_FINE = "complete"
_NOTHING = "\N{EN DASH}"
_MODEL_COLUMNS, _ID_COLUMNS = 22, 8


def logs(args: Namespace) -> int:
    if args.lines < 0:
        raise UsageError(f"not a number of lines: {args.lines}", "sidecar logs -n 50")
    path = os.path.join(args.places.logs, "sidecar.log")
    shown = as_json if args.json else readable
    if args.follow:
        for line in followed(path, args.lines):
            _print(shown(line))
    try:
        with open(path, "rb") as file:
            for line in deque(file, args.lines):
                _print(shown(line))
    except FileNotFoundError:
        note(f"There is no log yet: {path}")
    return 0


def followed(path: str, lines: int) -> Iterator[bytes]:
    """The last lines, then every further one, on into the new file when the log is rotated.  Never ends."""
    while not os.path.exists(path):
        time.sleep(_POLL_SECONDS)
    while True:
        with open(path, "rb") as file:
            yield from deque(file, lines)
            lines, half = sys.maxsize, b""  # all of the next file is new
            while True:
                rotated = _is_rotated(path, os.fstat(file.fileno()))  # before reading: what came until then is in this file
                while line := file.readline():
                    half += line
                    if half.endswith(b"\n"):
                        yield half
                        half = b""
                if rotated:
                    break
                time.sleep(_POLL_SECONDS)


def readable(line: bytes) -> str:
    """An exchange as `_exchange` has it; of another event the time, the level, its name and its fields.

    What is not a JSON object is shown as it is; no control character gets through.
    """
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    try:
        entry = json.loads(text)
        moment, level, event = (str(entry.pop(name, "")) for name in _FIRST)
    except (ValueError, AttributeError, TypeError, RecursionError):  # not JSON, or not an object
        return _plain(text)
    if event == _EXCHANGE:
        return _plain(_exchange(_local(moment), entry))
    fields = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in entry.items() if value is not None)
    return _plain(f"{_local(moment)} {level:<8} {'  '.join([event, *fields])}")


def as_json(line: bytes) -> str | None:
    """The line as it stands; None for what is not a JSON object, of which a program could make nothing."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    try:
        return text if isinstance(json.loads(text), dict) else None
    except (ValueError, RecursionError):
        return None


def _exchange(moment: str, row: Mapping[str, Any]) -> str:
    """Time, status, model, tokens in and out, cost, duration, session, and what went wrong.

    What is no model call has its path in the model's place and no figures.
    """
    is_call = row.get("kind") == "inference"
    what = row.get("model_served") or row.get("model_sent") or row.get("model_requested") if is_call else None
    read = [row[name] for name in _INPUT if isinstance(row.get(name), int)]
    figures = (
        _known(sum(read) if read else None, count, is_call),
        _known(row.get("output_tokens"), count, is_call),
        _known(row.get("cost_nanousd"), _cost, is_call),
    )
    cells = (
        moment,
        f"{row.get('status') or _NOTHING:>3}",
        f"{_cut(str(what or row.get('path') or _NOTHING), _MODEL_COLUMNS):<{_MODEL_COLUMNS}}",
        *(f"{figure:>{width}}" for figure, width in zip(figures, (7, 7, 8), strict=True)),
        f"{duration(row.get('duration_ms')):>6}",
        f"{str(row.get('session') or _NOTHING)[:_ID_COLUMNS]:<{_ID_COLUMNS}}",
    )
    fine = " ".join(cells)
    if row.get("outcome") == _FINE:
        return fine.rstrip()
    return _cut(f"{fine} {row.get('error_type') or row.get('outcome')}", WIDTH)


def _known(value: object, shown: Callable[[object], str], is_call: bool) -> str:
    """A dash where no figure is expected; a question mark where one is missing."""
    return shown(value) if is_call else _NOTHING


def _cost(nanousd: object) -> str:
    return dollars(nanousd / 1e9 if isinstance(nanousd, int) else None)


def _local(moment: str) -> str:
    """`11-27 14:36:05`, by the clock on the wall; anything else as it is."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return moment


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _print(line: str | None) -> None:
    if line is not None:
        print(line, flush=True)


def _is_rotated(path: str, opened: os.stat_result) -> bool:
    """Whether another file has the log's name by now; not yet, while none has it."""
    try:
        return os.stat(path).st_ino != opened.st_ino
    except FileNotFoundError:
        return False


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
