"""`sidecar logs`: the log's JSON lines for people, also while they are being written."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from sidecar.errors import UsageError
from sidecar.launch.surroundings import note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

_POLL_SECONDS = 0.2
_FIRST = ("time", "level", "event")


def logs(args: Namespace) -> int:
    if args.lines < 0:
        raise UsageError(f"not a number of lines: {args.lines}", "sidecar logs -n 50")
    path = os.path.join(args.places.logs, "sidecar.log")
    if args.follow:
        for line in followed(path, args.lines):
            print(readable(line), flush=True)
    try:
        with open(path, "rb") as file:
            for line in deque(file, args.lines):
                print(readable(line))
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
    """Time, level, event, then the fields.  What is not a JSON object is shown as it is; no control character gets through."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    try:
        entry = json.loads(text)
        moment, level, event = (str(entry.pop(name, "")) for name in _FIRST)
    except (ValueError, AttributeError, TypeError):  # not JSON, or not an object
        return _plain(text)
    fields = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in entry.items() if value is not None)
    return _plain(f"{moment} {level:<8} {'  '.join([event, *fields])}")


def _is_rotated(path: str, opened: os.stat_result) -> bool:
    """Whether another file has the log's name by now; not yet, while none has it."""
    try:
        return os.stat(path).st_ino != opened.st_ino
    except FileNotFoundError:
        return False


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
