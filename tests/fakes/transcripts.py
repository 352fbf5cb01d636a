"""The recorded replies in `tests/transcripts`.

Each has a file beside it that says what a meter must make of it: `path` is what the client asked for (without it /v1/messages),
everything else what differs from an empty `Reading`; its first line says what the transcript is about.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "transcripts"
NAMES = sorted(path.name.removesuffix(".toml") for path in FOLDER.glob("*.toml"))


@cache
def reply(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def path(name: str) -> str:
    return str(_beside(name).get("path", "/v1/messages"))


def told(name: str) -> dict[str, object]:
    """The fields of a `Reading`, as far as they differ from an empty one's; `usage` a mapping."""
    return {key: value for key, value in _beside(name).items() if key != "path"}


@cache
def _beside(name: str) -> dict[str, object]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
