"""`scripts/bench --install-peers`: nginx and haproxy from the system's packages, LiteLLM and Portkey's gateway into .cache/bench."""

from __future__ import annotations

import os
import sys

from benchmark.processes import Failed, installed, ran

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(_ROOT, ".cache", "bench")
LITELLM = os.path.join(CACHE, "litellm")
PORTKEY = os.path.join(CACHE, "portkey")
#: The versions the figures in docs/speed.md were measured with.
_LITELLM_PACKAGE = "litellm[proxy]==1.106.2"
_PORTKEY_PACKAGE = "@portkey-ai/gateway@1.15.2"


def install(peer: str) -> None:
    """Raises `Failed`."""
    if peer in {"nginx", "haproxy"}:
        if installed(peer) is None:
            _apt(peer)
    elif peer == "litellm":
        ran([sys.executable, "-m", "venv", LITELLM])
        ran([os.path.join(LITELLM, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _LITELLM_PACKAGE])
    elif peer == "portkey":
        npm = installed("npm")
        if npm is None:
            raise Failed("Portkey's gateway needs npm")
        ran([npm, "install", "--prefix", PORTKEY, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", _PORTKEY_PACKAGE])


def _apt(package: str) -> None:
    """The program alone: the service that Debian makes of it is switched off."""
    if installed("apt-get") is None:
        raise Failed(f"there is no apt-get here: install {package} yourself, and see that it is on PATH")
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    ran([*as_root, "apt-get", "-qq", "update"])
    ran([*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "--no-install-recommends", package])
    if os.path.isdir("/run/systemd/system"):
        ran([*as_root, "systemctl", "disable", "--now", package])
