"""Reads command lines as they are nearly always written, by the table alone: options with their values, each a word of its own.

With argparse, which imports regular expressions and translations, `sidecar run` would take half as long again; it is left to
`parser.py` to know every other writing and to say what is wrong.  A test holds that the two agree.
"""

from __future__ import annotations

from types import SimpleNamespace

from sidecar.launch.commands import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sidecar.launch.commands import Command


def parse(argv: Sequence[str]) -> SimpleNamespace | None:
    """What `parser.parse` gives; None for what it has to be asked for."""
    words, config = list(argv), None
    if words[:1] == ["--config"]:
        config, words = words[1:2], words[2:]
    command = next((command for command in COMMANDS if words and command.name == words[0]), None)
    if command is None or (config is not None and _is_doubtful(config)):
        return None
    return _read(command, words[1:], config[0] if config else None)


def _read(command: Command, words: list[str], config: str | None) -> SimpleNamespace | None:
    options: dict[str, tuple[str, dict[str, Any]]] = {"--config": ("config", {})}
    values: dict[str, Any] = {"config": config}
    for names, settings in command.arguments:
        if not names[0].startswith("-") or "choices" in settings or "type" in settings:
            return None
        to = settings.get("dest", names[-1].lstrip("-"))
        options |= dict.fromkeys(names, (to, settings))
        values[to] = settings.get("default", False if settings.get("action") == "store_true" else None)
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        if words[at] not in options:
            return None
        to, settings = options[words[at]]
        action = settings.get("action")
        if action == "store_true":
            values[to] = True
            at += 1
            continue
        given = words[at + 1 : at + 2]
        if _is_doubtful(given):
            return None
        values[to] = [*values[to], *given] if action == "append" else given[0]
        at += 2
    rest = words[at:]
    if command.takes_command:
        values["command"] = rest[1:] if rest[:1] == ["--"] else rest
    if bool(rest) is not command.takes_command or not values.get("command", True):
        return None
    return SimpleNamespace(**values, verb=command.name, handler=command.handler)


def _is_doubtful(given: list[str]) -> bool:
    """No value at all, or one that may be an option."""
    return not given or given[0].startswith("-")
