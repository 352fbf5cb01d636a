"""`sidecar uninstall`: everything of ours goes, nothing else does, and keys and ledger only after a yes."""

from __future__ import annotations

import os
import pty
import sys
import time
from pathlib import Path

import pytest

from sidecar.credentials import stored
from sidecar.credentials.stored import Stored
from sidecar.ledger.writer import Ledger

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from exchanges import closing, opening


@pytest.fixture
def used(home):
    """A home with a key file, a ledger, a log, a configuration, a wrapper, a status line and something of the user's own."""
    home.path.mkdir(mode=0o700)
    (home.path / "config.yaml").write_text("gateway: vercel\n")
    (home.path / "mine.txt").write_text("mine")
    (home.path / "logs").mkdir(mode=0o700)
    (home.path / "logs" / "sidecar.log").write_text("")
    stored.write_file(home.places.keys, "vercel", Stored("vck_key-of-the-gateway", ("https://ai-gateway.vercel.sh",)))
    ledger = Ledger(home.places.ledger, "one", print)
    ledger.start()
    ledger.open(opening(1, started_at=time.time() - 3))
    ledger.close(closing(1, finished_at=time.time()))
    ledger.stop()
    home.agent("claude")
    home.environ["SIDECAR_CONFIG"] = ""
    (home.bin / "sidecar").symlink_to(Path(sys.executable).parent / "sidecar")
    assert home.run("wrapper", "vercel", "--dir", str(home.bin)).returncode == 0
    (home.user / ".claude").mkdir()
    (home.user / ".claude" / "settings.json").write_text('{\n  "model": "opus"\n}\n')
    assert home.run("statusline", "--install").returncode == 0
    return home


def left(home) -> list[str]:
    return sorted(path.name for path in home.path.iterdir())


def test_with_yes_only_what_is_the_users_stays(used):
    done = used.run("uninstall", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert left(used) == ["mine.txt"]
    assert not (used.bin / "claude-vercel").exists()
    assert (used.bin / "claude").exists()
    assert (used.user / ".claude" / "settings.json").read_text() == '{\n  "model": "opus"\n}\n'
    assert "pipx uninstall agent-sidecar" in done.stdout
    assert used.run("uninstall", "--yes").returncode == 0


@pytest.mark.parametrize("words", [(), ("--keep",)])
def test_without_a_yes_keys_configuration_and_ledger_stay(used, words):
    done = used.run("uninstall", *words)
    assert done.returncode == 0
    assert not (used.bin / "claude-vercel").exists()
    assert {"config.yaml", "keys", "ledger.db", "logs", "mine.txt"} <= set(left(used))
    assert stored.read_file(used.places.keys, "vercel") is not None
    assert ("sidecar uninstall --yes" in done.stderr) is (not words)


def test_on_a_terminal_it_asks_for_each(used):
    """Yes to the files, no to the keys: the key file outlives its surroundings."""
    master, slave = pty.openpty()
    with used.popen("uninstall", stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        seen = b""
        for answer in (b"\n", b"yes\n"):
            while not seen.endswith(b"[y/N] "):
                seen += os.read(master, 1)
            os.write(master, answer)
            seen = b""
        assert process.wait(20) == 0
    os.close(master)
    assert left(used) == ["keys", "mine.txt"]
    assert stored.read_file(used.places.keys, "vercel") is not None


def test_a_configuration_that_the_user_named_is_the_users(used, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("gateway: vercel\n")
    assert used.run("--config", str(mine), "uninstall", "--yes").returncode == 0
    assert mine.exists()
    assert (used.bin / "claude-vercel").exists(), "it belongs to another configuration"


def test_a_daemon_that_does_not_stop_keeps_its_files(used, daemon):
    process = daemon()
    state = used.path / "daemon.json"
    state.write_text(state.read_text().replace('"port": ', '"port": 1, "was": '))
    done = used.run("uninstall", "--yes")
    assert done.returncode == 1
    assert f"kill {process.pid}" in done.stderr
    assert "ledger.db" in left(used)


def test_both_answers_at_once_are_refused(home):
    assert home.run("uninstall", "--yes", "--keep").returncode == 2
