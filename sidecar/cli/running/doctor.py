"""`doctor`: everything between an agent and its gateway that can be wrong, looked at once, each with what to type.

Looks, and changes nothing; sends no request to anybody but the sidecar itself: a gateway gets a connection, which is then closed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING

from sidecar import __version__
from sidecar.cli.running.gateway_findings import Finding, gateway_findings
from sidecar.config.load import load
from sidecar.errors import ConfigError
from sidecar.launch import client
from sidecar.launch.passes import PREFIX
from sidecar.launch.prepare import LEDGER_HINT, ledger_error, mismatches
from sidecar.launch.run import ignored_settings, settings_files
from sidecar.launch.surroundings import legible, working_folder

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places

_MARKS = {"ok": "✓", "warning": "!", "failure": "✗"}
#: In a settings file these would send Claude Code elsewhere, if `run` did not set the host flag.
_BYPASSES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX")
_LIBRARIES = ("aiohttp", "httptools", "keyring", "msgspec", "uvloop")


def doctor(args: Namespace) -> int:
    findings = list(dict.fromkeys(_examined(args.places)))  # each fault once
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
        *others, last = error.faults
        yield from (Finding("failure", fault) for fault in others)
        yield Finding("failure", last, error.hint)
    state = client.verified(places)
    yield from _daemon(places, state)
    if settings is not None:
        yield from gateway_findings(places, settings, state)
    yield from _agent_settings(state)
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


def _agent_settings(state: State | None) -> Iterator[Finding]:
    """Claude Code's settings files: what would bypass the sidecar in a plain `claude`, what `run` makes ineffective."""
    cwd = working_folder()
    for file, variables in settings_files(os.environ, cwd):
        address = variables.get("ANTHROPIC_BASE_URL")
        if any(isinstance(value, str) and PREFIX in value for value in variables.values()):
            # The sidecar's own: what `env --json` prints.
            if state is not None and address != client.base_url(state):
                what = (
                    f"{file} sends a plain `claude` to {address or 'its usual address'}, and the sidecar serves on {client.base_url(state)}"
                )
                yield Finding("warning", what, "put there what this prints: sidecar env --json")
        elif bypassing := [name for name in _BYPASSES if variables.get(name)]:
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
