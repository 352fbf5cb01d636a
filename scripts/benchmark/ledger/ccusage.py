"""ccusage from npm, which reads Claude Code's transcripts: the newest version that runs here."""

from __future__ import annotations

import os
import shutil
import subprocess

from benchmark.install import CACHE
from benchmark.processes import Failed, installed, ran

#: From 20 on it is a program for each platform, which not every registry has; 19 needs Node 22; 18 runs on Node 20.
_VERSIONS = ("20.0.26", "19.0.3", "18.0.11")
_LIMIT_SECONDS = 300.0


def install() -> tuple[str, str]:
    """Its command and its version.  Raises `Failed`."""
    npm = installed("npm")
    if npm is None:
        raise Failed("ccusage needs npm")
    why = ""
    for version in _VERSIONS:
        folder = os.path.join(CACHE, f"ccusage-{version}")
        command = os.path.join(folder, "node_modules", ".bin", "ccusage")
        try:
            if not os.path.exists(command):
                options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
                ran([npm, "install", "--prefix", folder, *options, f"ccusage@{version}"])
            if version in ran([command, "--version"]):
                return command, version
            raise Failed(f"ccusage {version} does not say its version")
        except Failed as failed:
            why = str(failed)
            shutil.rmtree(folder, ignore_errors=True)
    raise Failed(why)


def run(command: str, transcripts: str, words: list[str]) -> None:
    """Ask it.  Raises `Failed`."""
    environ = {"PATH": os.environ["PATH"], "HOME": transcripts, "CLAUDE_CONFIG_DIR": transcripts}
    asked = [command, *words, "--offline", "--json"]
    try:
        done = subprocess.run(asked, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_LIMIT_SECONDS)  # noqa: S603 - the benchmark's own command
    except subprocess.TimeoutExpired:
        raise Failed(f"ccusage {' '.join(words)} took more than {_LIMIT_SECONDS:.0f} s") from None
    if done.returncode:
        raise Failed(f"ccusage {' '.join(words)} ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()[-300:]}")
