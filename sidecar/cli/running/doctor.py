"""`doctor`: everything between an agent and its gateway that can be wrong, looked at once, each with what to type.

Looks, and changes nothing; sends no request to anybody but the sidecar itself: a gateway gets a connection, which is then closed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from sidecar import __version__
from sidecar.cli.setup.gateways import look_up
from sidecar.config.load import load
from sidecar.credentials import system_keyring
from sidecar.errors import ConfigError, SidecarError
from sidecar.launch import client
from sidecar.launch.prepare import LEDGER_HINT, ledger_error, mismatches
from sidecar.launch.run import ignored_settings, settings_files
from sidecar.launch.surroundings import legible, working_folder
from sidecar.proxy.dial import dial, endpoint

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from sidecar.config.settings import Settings
    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places

CONNECT_SECONDS = 5.0
_MARKS = {"ok": "✓", "warning": "!", "failure": "✗"}
#: In a settings file these would send Claude Code elsewhere, if `run` did not set the host flag.
_BYPASSES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX")
_LIBRARIES = ("aiohttp", "httptools", "keyring", "msgspec", "uvloop")


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is ok, warning or failure; `hint` says what to type."""

    level: str
    what: str
    hint: str = ""


def doctor(args: Namespace) -> int:
    findings = list(_examined(args.places))
    failed = any(finding.level == "failure" for finding in findings)
    if args.json:
        print(json.dumps({"healthy": not failed, "findings": [asdict(finding) for finding in findings]}))
        return int(failed)
    for finding in findings:
        print(f"{legible(_MARKS[finding.level])} {finding.what}")
        if finding.hint:
            print(f"    {finding.hint}")
    return int(failed)


def _examined(places: Places) -> Iterator[Finding]:
    yield from _versions()
    settings = None
    try:
        settings = load(places)
        yield Finding("ok", f"configuration: {settings.path or 'none, the defaults hold'}")
    except ConfigError as error:
        for fault in error.faults:
            yield Finding("failure", fault, error.hint)
    state = client.verified(places)
    yield from _daemon(places, state)
    yield from _keyring()
    if settings is not None:
        yield from _gateway(places, settings, state)
    yield from _agent_settings()
    yield from _shell()


def _versions() -> Iterator[Finding]:
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES if importlib.util.find_spec(name))
    yield Finding("ok", f"sidecar {__version__}, Python {platform.python_version()}, {platform.system()}; {libraries}")
    if importlib.util.find_spec("aiohttp._http_parser") is None or os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        yield Finding(
            "warning", "aiohttp runs without its C extensions: four times the work for each event", "pipx reinstall agent-sidecar"
        )


def _daemon(places: Places, state: State | None) -> Iterator[Finding]:
    if state is None:
        yield Finding("ok", "no sidecar is running; `sidecar run` starts one")
        return
    yield Finding("ok", f"a sidecar serves on {client.base_url(state)}")
    if ledger := ledger_error(state):
        yield Finding("failure", ledger, LEDGER_HINT)
    if state["config_error"]:
        yield Finding("failure", f"it goes on with the last good configuration: {state['config_error']}", "sidecar config check")
    for mismatch in mismatches(state, places):
        yield Finding("warning", mismatch, "sidecar restart")


def _keyring() -> Iterator[Finding]:
    try:
        yield Finding("ok", f"keyring: {system_keyring.check()}")
    except SidecarError as error:
        yield Finding("warning", f"keyring: {error.message}", error.hint)


def _gateway(places: Places, settings: Settings, state: State | None) -> Iterator[Finding]:
    """The active one: whether its key is there, and whether anybody answers at its address."""
    name = settings.gateway
    gateway = settings.gateways[name]
    key = look_up(places, settings, state, (name,))[0]
    if key.key:
        yield Finding("ok", f"gateway {name!r}: its key comes from {key.where}")
    else:
        yield Finding("failure", f"gateway {name!r}: {key.error or 'there is no key for it'}", f"sidecar login {name}")
    if gateway.base_url.startswith("https:"):
        yield _reached(settings, name)
    elif not gateway.base_url.startswith("http://127."):
        yield Finding("warning", f"gateway {name!r} is reached over plain http, {gateway.base_url}: its key can be read on the way")


def _reached(settings: Settings, name: str) -> Finding:
    """One connection, TLS included, and no request."""

    async def connect() -> str:
        place = endpoint(settings.gateways[name], os.environ.get)
        connection = await dial(place, CONNECT_SECONDS)
        connection.close()
        await asyncio.sleep(0)
        return f" through the proxy {place.proxy[0]}:{place.proxy[1]}" if place.proxy else ""

    try:
        return Finding("ok", f"gateway {name!r}: {settings.gateways[name].base_url} answers{asyncio.run(connect())}")
    except SidecarError as error:
        return Finding("failure", f"gateway {name!r}: {error.message}", error.hint)


def _agent_settings() -> Iterator[Finding]:
    """Claude Code's settings files: what would bypass the sidecar in a plain `claude`, what `run` makes ineffective."""
    cwd = working_folder()
    for file, variables in settings_files(os.environ, cwd):
        if bypassing := [name for name in _BYPASSES if name in variables]:
            yield Finding(
                "warning", f"{file} sets {', '.join(bypassing)}: a plain `claude` goes that way", "start it with: sidecar run -- claude"
            )
    for file, names in ignored_settings(os.environ, cwd):
        yield Finding(
            "warning", f"{file} sets {', '.join(names)}, which has no effect under `sidecar run`", "put it under agent_env of the gateway"
        )


def _shell() -> Iterator[Finding]:
    if shutil.which("sidecar") is None:
        yield Finding("warning", "`sidecar` is not on PATH", f"add its folder: {os.path.dirname(sys.argv[0]) or '~/.local/bin'}")
    proxied = [name for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy") if os.environ.get(name)]
    excepted = f"{os.environ.get('NO_PROXY', '')},{os.environ.get('no_proxy', '')}".split(",")
    if proxied and "127.0.0.1" not in (entry.strip() for entry in excepted):
        yield Finding(
            "warning",
            f"{', '.join(proxied)} would swallow what an agent sends to the sidecar",
            "`sidecar run` sets NO_PROXY; elsewhere: export NO_PROXY=127.0.0.1,localhost,::1 no_proxy=127.0.0.1,localhost,::1",
        )
