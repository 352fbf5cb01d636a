"""What all tests share: where the fakes are, how hard hypothesis tries, and that nothing is skipped in silence where CI runs."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import hypothesis
import pytest

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
