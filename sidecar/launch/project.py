"""`.sidecar.yaml`: the gateway and tags that a checkout asks for, followed once the user has said yes to its content.

The answer is kept in `trusted.json`, for each file with the content that it was given for: a file that has changed is asked about
again.  What the content means is kept beside it, so that a later start reads no YAML.
"""

from __future__ import annotations

import os
import sys

from sidecar.errors import SidecarError
from sidecar.launch import lean_json
from sidecar.launch.commands import load
from sidecar.launch.files import NotRegular, read_regular
from sidecar.launch.places import write_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sidecar.launch.places import Places

FILE = ".sidecar.yaml"
_LARGEST = 16 * 1024
_LARGEST_ANSWERS = 4 << 20


class Wish:
    """What the file at `path` asks for.  `is_trusted` is the user's answer, None if there was none yet for this content."""

    __slots__ = ("content", "gateway", "is_trusted", "path", "tags")

    def __init__(self, path: str, content: str, gateway: str | None, tags: tuple[str, ...], *, is_trusted: bool | None) -> None:
        self.path = path
        self.content = content
        self.gateway = gateway
        self.tags = tags
        self.is_trusted = is_trusted

    def __str__(self) -> str:
        parts = [f"gateway {self.gateway}"] if self.gateway else []
        if self.tags:
            parts.append(f"tag{'s' if len(self.tags) > 1 else ''} {', '.join(self.tags)}")
        return " and ".join(parts) or "nothing"


def find(cwd: str) -> str | None:
    """The path of the nearest file, from `cwd` up to the checkout's root; outside a checkout only `cwd` itself is looked at."""
    folder, found = os.path.abspath(cwd), None
    while True:
        path = os.path.join(folder, FILE)
        if found is None and os.path.lexists(path):
            found = path
        if os.path.lexists(os.path.join(folder, ".git")):
            return found
        above = os.path.dirname(folder)
        if above == folder:
            own = os.path.join(os.path.abspath(cwd), FILE)
            return own if found == own else None
        folder = above


def root(cwd: str) -> str:
    """The checkout's root; `cwd` itself where there is no checkout."""
    folder = os.path.abspath(cwd)
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return os.path.abspath(cwd)
        folder = above
    return folder


def read(places: Places, path: str) -> Wish:
    """Raises SidecarError for a file that cannot be read or says more than it may."""
    content = _content(path)
    known = _answers(places).get(path)
    if isinstance(known, dict) and known.get("content") == content:
        return Wish(path, content, known["gateway"], tuple(known["tags"]), is_trusted=known["trusted"])
    # Loaded for a content that is new; the library that reads YAML takes as long to import as all the rest of `sidecar run`.
    project: Any = load("sidecar.config.project:parsed")
    gateway, tags = project(content, path)
    return Wish(path, content, gateway, tags, is_trusted=None)


def remember(places: Places, wish: Wish, *, is_trusted: bool) -> None:
    """Keep the user's answer for this content of the file."""
    wish.is_trusted = is_trusted
    answers = {path: answer for path, answer in _answers(places).items() if os.path.lexists(path)}
    answers[wish.path] = {"content": wish.content, "gateway": wish.gateway, "tags": list(wish.tags), "trusted": is_trusted}
    write_private(places.trusted, lean_json.dumps(answers).encode())


def followed(places: Places, cwd: str) -> Wish | None:
    """The wish to follow for a session that starts in `cwd`, or None.  What the user should know goes to stderr.

    On a terminal the user is asked once for each content; elsewhere a file without an answer is named and not followed.
    """
    path = find(cwd)
    if path is None:
        return None
    try:
        wish = read(places, path)
    except SidecarError as error:  # a checkout's mistake, which is no reason to start no agent in it
        _say(f"{error.message}; the file is not followed")
        return None
    if wish.gateway is None and not wish.tags:
        return None
    if wish.is_trusted is None:
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
            _say(f"{path} asks for {wish}, and is not followed until you say: sidecar trust")
            return None
        remember(places, wish, is_trusted=_yes(f"sidecar: {path} asks for {wish}. Follow it? [y/N] "))
    if not wish.is_trusted:
        return None
    _say(f"{wish} ({path})")
    return wish


def _yes(question: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _content(path: str) -> str:
    try:
        data = read_regular(path, _LARGEST + 1)
    except NotRegular:
        raise SidecarError(f"{path} is not a file", "it may hold gateway and tags, nothing else") from None
    except OSError as error:
        raise SidecarError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise SidecarError(f"{path} is larger than {_LARGEST} bytes", "it may hold gateway and tags, nothing else")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SidecarError(f"{path} is not UTF-8") from None


def _answers(places: Places) -> dict[str, Any]:
    try:
        answers = lean_json.loads(read_regular(places.trusted, _LARGEST_ANSWERS))
    except (OSError, ValueError):
        return {}
    return answers if isinstance(answers, dict) else {}


def _say(line: str) -> None:
    print(f"sidecar: {line}", file=sys.stderr)
