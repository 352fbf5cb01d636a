"""What the daemon's start spares itself, and that nothing of it stays behind."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os, sys
from sidecar.server import start

with start._no_certificates(), start._no_rich():
    import sidecar.server.lifecycle
print("rich" in sys.modules, os.environ.get("SSL_CERT_FILE"))
import rich.table
print(rich.table.__name__)
"""


def said(**environ: str) -> list[str]:
    given = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"} | environ
    return subprocess.run([sys.executable, "-c", CODE], env=given, capture_output=True, text=True, check=True).stdout.splitlines()


def test_rich_is_not_loaded_but_can_be():
    assert said() == ["False None", "rich.table"]


def test_the_shells_certificates_are_in_force_again(tmp_path):
    assert said(SSL_CERT_FILE=str(tmp_path)) == [f"False {tmp_path}", "rich.table"]
