"""`use`: makes a gateway the active one, in the configuration file and so for everything that follows it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from sidecar.cli.setup.gateways import look_up, missing
from sidecar.config import document
from sidecar.config.check import known_gateways
from sidecar.config.edit import with_gateway
from sidecar.config.load import load, parsed, read
from sidecar.config.save import save
from sidecar.errors import UsageError
from sidecar.gateways.presets import unknown_gateway
from sidecar.launch import client, project
from sidecar.launch.surroundings import note

if TYPE_CHECKING:
    from argparse import Namespace

    from sidecar.config.settings import Settings
    from sidecar.launch.daemon_state import State


def use(args: Namespace) -> int:
    if args.here:
        return _use_here(args)
    path, name = args.places.config_file, args.gateway
    try:
        text = read(path)
    except FileNotFoundError:
        text = None
    edited = _edited(text or "", path, name)
    if edited != text:
        save(path, edited)
    settings = load(args.places)
    state = client.verified(args.places)
    (key,) = look_up(args.places, settings, state, [name])
    if args.json:
        print(
            json.dumps({"gateway": name, "file": path, "changed": edited != text, "running": state is not None, "has_key": bool(key.key)})
        )
    else:
        print(f"{name} is the active gateway" + (", as before." if edited == text else f" now: {path}"))
        print(_what_follows(settings, state))
    if not key.key:
        note(missing(settings, name, key))
    return 0


def _use_here(args: Namespace) -> int:
    """Set the gateway of this checkout, in the nearest `.sidecar.yaml` or a new one at the checkout's root."""
    name, cwd = args.gateway, os.getcwd()
    settings = load(args.places)
    if name not in settings.gateways:
        raise unknown_gateway(name, settings.gateways)
    path = project.find(cwd)
    text = project.read(args.places, path).content if path else ""
    path = path or os.path.join(project.root(cwd), project.FILE)
    edited = with_gateway(text, name)
    if edited != text:
        save(path, edited, mode=0o644)
    project.remember(args.places, project.read(args.places, path), is_trusted=True)
    if args.json:
        print(json.dumps({"gateway": name, "file": path, "changed": edited != text}))
        return 0
    print(f"Sessions that start below {os.path.dirname(path)} use {name}: {path}")
    print("Running sessions stay where they are.")
    return 0


def trust(args: Namespace) -> int:
    """Keep the user's answer for the `.sidecar.yaml` of this checkout."""
    path = project.find(os.getcwd())
    if path is None:
        raise UsageError(f"there is no {project.FILE} from here up to the checkout's root", "sidecar use --here GATEWAY writes one")
    wish = project.read(args.places, path)
    project.remember(args.places, wish, is_trusted=not args.no)
    print(f"{path} is {'not followed' if args.no else 'followed'} from now on: {wish}")
    return 0


def _edited(text: str, path: str, name: str) -> str:
    """The file's new text.  Nothing is written that would not load."""
    found = document.read(text)
    if found.faults:
        parsed(text, path)
    known = known_gateways(found)
    if name not in known:
        raise unknown_gateway(name, known)
    edited = with_gateway(text, name)
    parsed(edited, path)
    return edited


def _what_follows(settings: Settings, state: State | None) -> str:
    if state is None:
        return "No sidecar is running; the next sidecar run uses it."
    if state["config"] != settings.path:
        return f"The running sidecar reads another file ({state['config'] or 'none'}): sidecar restart"
    return "Running sessions follow with their next request, but for those pinned to a gateway."
