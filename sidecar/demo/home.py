"""The demo's own world: a folder with the configuration and the key of a sidecar in front of a stand-in, and a home for an agent.

Nothing of the user's is read or written: the sidecar runs with this folder as its home, the agent with one below it, and neither
gets a variable that says where the user's things are.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.launch import client, places, spawn
from sidecar.launch import daemon_state as state

if TYPE_CHECKING:
    from typing import Self

    from sidecar.launch.daemon_state import State

GATEWAY = "stand-in"
TAG = "demo"
SESSION_HEADER = "x-demo-session"
TAGS_HEADER = "x-demo-tags"

# Both programs must find their files and speak the terminal's language; nothing else of the user's environment is theirs.
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "COLORTERM", "TZ", "SYSTEMROOT", "COMSPEC", "PATHEXT")
_STOP_SECONDS = 10.0

_CONFIG = """\
listen: 127.0.0.1:{port}
gateway: {gateway}
tags: [{tag}]
gateways:
  {gateway}:
    base_url: {url}
    auth: {{header: authorization, scheme: Bearer}}
    credential: {{file: {key_file}}}
    headers: {{{session_header}: "{{session}}", {tags_header}: "{{tags}}"}}
"""


class Home:
    """A context: the folder is there inside it and gone afterwards, together with the daemon that was started in it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="sidecar-demo-"))
        self.agent_home = self.folder / "agent"
        self.project = self.agent_home / "project"
        self.project.mkdir(parents=True)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        agent_home = str(self.agent_home)
        self.environ = kept | {"HOME": agent_home, "USERPROFILE": agent_home, "SIDECAR_HOME": str(self.folder)}
        self.places = places.find(self.environ)
        key_file = str(self.folder / "gateway.key")
        places.write_private(key_file, self._key.encode())
        config = _CONFIG.format(
            port=_free_port(),
            gateway=GATEWAY,
            tag=TAG,
            url=self._url,
            key_file=json.dumps(key_file),
            session_header=SESSION_HEADER,
            tags_header=TAGS_HEADER,
        )
        places.write_private(self.places.config_file, config.encode())
        self._skip_first_questions()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop(now=True)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> State:
        return spawn.start(self.places, self.environ)[0]

    def stop(self, *, now: bool = False) -> None:
        """Returns when the daemon has gone and its ledger is complete; at once if there is none."""
        running = client.verified(self.places)
        if running is None:
            return
        client.ask(self.places, running, "POST", "/_sidecar/stop", {"now": now})
        deadline = time.monotonic() + _STOP_SECONDS
        while state.held(self.places.lock_file) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _skip_first_questions(self) -> None:
        """Claude Code asks a new home for a theme and for trust in the folder."""
        answers = {"hasCompletedOnboarding": True, "projects": {str(self.project): {"hasTrustDialogAccepted": True}}}
        places.write_private(str(self.agent_home / ".claude.json"), json.dumps(answers).encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
