from __future__ import annotations

import stat
from pathlib import Path

from sidecar.config.load import load
from sidecar.demo.home import Home

URL = "http://127.0.0.1:9"


def test_the_configuration_of_the_demo_is_right_and_names_no_key():
    with Home(URL, "the-key") as home:
        settings = load(home.places)
        gateway = settings.gateways[settings.gateway]
        assert (gateway.name, gateway.base_url, settings.tags) == ("stand-in", URL, ("demo",))
        assert "the-key" not in Path(home.places.config_file).read_text()


def test_the_home_is_private_and_gone_afterwards():
    with Home(URL, "the-key") as home:
        assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((home.folder / "gateway.key").stat().st_mode) == 0o600
    assert not home.folder.exists()


def test_nothing_of_the_users_is_named_in_the_environment():
    with Home(URL, "the-key") as home:
        assert home.environ["HOME"].startswith(str(home.folder))
        assert home.environ["SIDECAR_HOME"] == str(home.folder)
        assert not {name for name in home.environ if name.startswith(("XDG_", "DBUS_", "ANTHROPIC_", "CLAUDE"))}
