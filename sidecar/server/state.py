"""What the running daemon tells about itself: `daemon.json`, which `sidecar run` reads, and the answer to `status`."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import structlog

from sidecar import __version__
from sidecar.gateways.gateway import Secret, Variable
from sidecar.launch import daemon_state

if TYPE_CHECKING:
    from sidecar.config.live import LiveSettings
    from sidecar.config.settings import Settings
    from sidecar.gateways.gateway import Gateway
    from sidecar.launch.places import Places
    from sidecar.ledger.writer import Ledger


log = structlog.get_logger("sidecar.server")


class Publisher:
    """Writes `daemon.json`: `publish` once the sidecar serves, and anew whenever something in it has changed, until `stop`."""

    def __init__(self, places: Places, live: LiveSettings, ledger: Ledger, instance: str, host: str, port: int) -> None:
        self._places = places
        self._live = live
        self._ledger = ledger
        self._instance = instance
        self._host = host
        self._port = port
        self._started_at = _utc(time.time())
        self._keys: dict[str, bool] = {}
        self._is_published = False
        self.is_draining = False

    def publish(self) -> None:
        """Raises OSError: a sidecar that nobody can find does not serve."""
        settings = self._live.current
        daemon_state.write(
            self._places.state_file,
            {
                "pid": os.getpid(),
                "host": self._host,
                "port": self._port,
                "instance": self._instance,
                "version": __version__,
                "config": settings.path,
                "config_error": self._live.error,
                "draining": self.is_draining,
                "ledger": {"error": self._ledger.error},
                "started_at": self._started_at,
                "gateway": settings.gateway,
                "configured": list(settings.configured),
                "variables": list(settings.variables),
                "gateways": {
                    name: {
                        "beside": gateway.beside,
                        "agent_env": dict(gateway.agent_env or {}),
                        "remove": sorted(_key_variables(gateway)),
                        "key": self._keys.get(name),
                    }
                    for name, gateway in settings.gateways.items()
                },
            },
        )
        self._is_published = True

    def stop(self) -> None:
        """Leave the file to the next sidecar."""
        self._is_published = False

    def publish_again(self) -> None:
        """Write the file anew.  If the disk is full, the older file still says where this sidecar is."""
        if not self._is_published:
            return
        try:
            self.publish()
        except OSError as error:
            log.error("state.unwritable", path=self._places.state_file, problem=error.strerror)  # noqa: TRY400 - the place says it all

    def status(self, settings: Settings, streams: int) -> dict[str, object]:
        return {
            "running": True,
            "pid": os.getpid(),
            "port": self._port,
            "version": __version__,
            "instance": self._instance,
            "started_at": self._started_at,
            "gateway": settings.gateway,
            "streams": streams,
            "tasks": len(asyncio.all_tasks()),
            "config": {"path": settings.path, "error": self._live.error},
            "ledger": {"path": self._places.ledger, "error": self._ledger.error},
        }

    def key_seen(self, gateway: str, *, there: bool) -> None:
        if self._keys.get(gateway) is not there:
            self._keys[gateway] = there
            self.publish_again()

    def keys_unknown(self) -> None:
        """A source of keys has changed: whether there is a key has to be asked again."""
        self._keys.clear()
        self.publish_again()


def _key_variables(gateway: Gateway) -> set[str]:
    """The environment variables that this gateway's secrets come from: an agent must not inherit them."""
    secrets = (gateway.credential, *(value for _, value in gateway.headers if isinstance(value, Secret)))
    return {source.name for secret in secrets for source in secret.sources if isinstance(source, Variable)}


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"
