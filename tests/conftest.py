"""What all tests share: a clean environment, where the fakes are, how hard hypothesis tries, no silent skips where CI runs."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import hypothesis
import pytest

#: Variables of the shell that would change what the sidecar, Python or an agent does.
FOREIGN = ("ANTHROPIC_", "CLAUDE", "CODEX_", "OPENAI_", "SIDECAR_", "PYTHON", "LC_", "LANG", "GIT_", "AIOHTTP_", "SSL_CERT_", "NODE_")
FOREIGN_NAMES = {"COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CDPATH", "ENV", "BASH_ENV"}
#: Commands that a test makes itself; what the machine has under these names must not be found.
AGENTS = {"claude", "codex", "opencode", "sidecar"}


def clean(environ: dict[str, str]) -> dict[str, str]:
    """What of the shell's variables a test may see."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith("SIDECAR_TEST_")
        or not (name.startswith(FOREIGN) or name in FOREIGN_NAMES or name.lower().endswith("_proxy") or name.endswith("_API_KEY"))
    }


def tools(path: str, folder: Path) -> None:
    """Fill `folder` with a link to every command on `path` but the agents: a PATH that holds none."""
    for place in filter(os.path.isdir, path.split(os.pathsep)):
        for name in set(os.listdir(place)) - AGENTS:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(os.path.abspath(os.path.join(place, name)))


def inherit_nothing() -> None:
    """Every test, and every process that a test starts, has this environment, whatever machine and shell run it."""
    own = Path(tempfile.mkdtemp(prefix="sidecar-tests-"))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    path, kept = os.environ.get("PATH", os.defpath), clean(dict(os.environ))
    for name in ("home", "bin"):
        (own / name).mkdir()
    if sys.platform != "win32":
        tools(path, own / "bin")
        path = str(own / "bin")
    os.environ.clear()
    os.environ.update(kept | {"PATH": path, "HOME": str(own / "home"), "LANG": "C.UTF-8", "TZ": "UTC"})
    if hasattr(time, "tzset"):
        time.tzset()


inherit_nothing()
sys.path.insert(0, str(Path(__file__).parent))  # the fakes are imported as `fakes.raw`

hypothesis.settings.register_profile("quick", max_examples=40, deadline=None)
hypothesis.settings.register_profile("deep", max_examples=5000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

IN_CI = os.environ.get("CI") == "true"


def pytest_asyncio_loop_factories(config, item):
    """The loop that the daemon itself runs on, where there is one."""
    if sys.platform == "win32" or os.environ.get("SIDECAR_TEST_LOOP") == "asyncio":
        return {"asyncio": asyncio.new_event_loop}
    import uvloop  # noqa: PLC0415  # there is none for Windows

    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report
