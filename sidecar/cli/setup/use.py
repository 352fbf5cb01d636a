"""`use`: makes a gateway the active one, in the configuration file and so for everything that follows it."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from sidecar.cli.setup.gateways import look_up, missing
from sidecar.config import document
from sidecar.config.check import known_gateways
from sidecar.config.edit import with_gateway
from sidecar.config.load import load, parsed, read
from sidecar.errors import UsageError
from sidecar.gateways.presets import presets
from sidecar.launch import client
from sidecar.launch.places import new_private, write_private

if TYPE_CHECKING:
    from argparse import Namespace

    from sidecar.config.settings import Settings
    from sidecar.launch.daemon_state import State


def use(args: Namespace) -> int:
    path, name = args.places.config_file, args.gateway
    try:
        text = read(path)
    except FileNotFoundError:
        text = None
    edited = _edited(text or "", path, name)
    if edited != text:
        _write(path, edited, is_new=text is None)
    settings = load(args.places)
    print(f"{name} is the active gateway" + (", as before." if edited == text else f" now: {path}"))

    state = client.verified(args.places)
    print(_what_follows(settings, state))
    (key,) = look_up(args.places, settings, state, [name])
    if not key.key:
        print(missing(settings, name, key), file=sys.stderr)
    return 0


def _edited(text: str, path: str, name: str) -> str:
    """The file's new text.  Nothing is written that would not load."""
    found = document.read(text)
    if found.faults:
        parsed(text, path)
    known = known_gateways(found)
    if name not in known:
        if name in presets():
            raise UsageError(f"{name} runs where you say", f"write into {path}, under gateways: {name}: {{base_url: https://…}}")
        raise UsageError(f"there is no gateway {name!r}", f"there are {', '.join(known)}; another one goes under gateways: in {path}")
    edited = with_gateway(text, name)
    parsed(edited, path)
    return edited


def _write(path: str, text: str, *, is_new: bool) -> None:
    """In one step, through a link to its target, the mode kept."""
    if is_new:
        write_private(os.path.realpath(path), text.encode())
        return
    target = os.path.realpath(path)
    mode = stat.S_IMODE(os.stat(target).st_mode)
    temporary = new_private(target, text.encode())
    try:
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError:
        os.unlink(temporary)
        raise


def _what_follows(settings: Settings, state: State | None) -> str:
    if state is None:
        return "No sidecar is running; the next sidecar run uses it."
    if state["config"] != settings.path:
        return f"The running sidecar reads another file ({state['config'] or 'none'}): sidecar restart"
    return "Running sessions follow with their next request, but for those pinned to a gateway."
