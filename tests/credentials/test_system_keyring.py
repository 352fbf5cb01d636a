"""Which keyrings are refused, what their failures are called, and a real Secret Service where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid

import keyring.core
import pytest
from fakes.keyrings import Locked, Memory
from keyring.backends import chainer, fail, null

from sidecar.credentials import system_keyring
from sidecar.credentials.stored import NoKeyring, Stored
from sidecar.credentials.vault import Variables, Vault
from sidecar.errors import CredentialFailed
from sidecar.gateways.gateway import Keyring, Secret

ORIGIN = "http://127.0.0.1:9"

# keyrings.alt is not a dependency: with it installed, keyring would pick its backends for every other test.
Plaintext = type("PlaintextKeyring", (Memory,), {"__module__": "keyrings.alt.file"})
Encrypted = type("CryptFileKeyring", (Plaintext,), {"__module__": "keyrings.cryptfile.cryptfile"})


class Chain(chainer.ChainerBackend):
    viable = False
    priority = 1
    backends = (Memory(), Plaintext())


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        (fail.Keyring(), "keyring.backends.fail.Keyring"),
        (null.Keyring(), "keyring.backends.null.Keyring"),
        (Plaintext(), "keyrings.alt.file.PlaintextKeyring"),
        (Encrypted(), "keyrings.cryptfile.cryptfile.CryptFileKeyring"),
        (Chain(), "keyrings.alt.file.PlaintextKeyring"),
    ],
)
def test_a_backend_that_does_not_keep_keys_safe_is_refused_by_name_with_a_way_out(backend, name):
    with pytest.raises(NoKeyring) as refused:
        system_keyring.refuse_unsafe(backend)
    assert name in refused.value.message
    assert "credential" in refused.value.hint


def test_nothing_is_written_to_a_refused_backend(use_keyring):
    backend = use_keyring(Plaintext())
    for act in (
        lambda: system_keyring.write("x", Stored("key", (ORIGIN,))),
        lambda: system_keyring.read("x"),
        lambda: system_keyring.remove("x"),
    ):
        with pytest.raises(NoKeyring):
            act()
    assert backend.entries == {}


def test_other_backends_are_not_refused(use_keyring):
    use_keyring(Memory())
    assert system_keyring.check() == "fakes.keyrings.Memory"


def test_a_locked_keyring_is_called_so(use_keyring):
    use_keyring(Locked())
    with pytest.raises(CredentialFailed, match="the keyring is locked") as failed:
        system_keyring.read("x")
    assert not isinstance(failed.value, NoKeyring)


def test_whatever_else_a_backend_raises_is_a_failure_with_its_words(use_keyring):
    class Odd(Memory):
        viable = False

        def get_password(self, service, username):  # noqa: ARG002 - the interface's arguments
            raise OSError("the bus\nis gone")

    use_keyring(Odd())
    with pytest.raises(CredentialFailed, match="OSError: the bus is gone"):
        system_keyring.read("x")


@pytest.fixture
def entry():
    """The name of an entry in this session's Secret Service, which need not be one for tests only."""
    before = keyring.core._keyring_backend
    keyring.core.init_backend()
    try:
        backend = system_keyring.check()
    except CredentialFailed as error:
        keyring.core._keyring_backend = before
        pytest.skip(f"no Secret Service here: {error.message}")
    if "SecretService" not in backend:
        keyring.core._keyring_backend = before
        pytest.skip(f"the keyring here is not a Secret Service: {backend}")
    name = f"sidecar-test-{uuid.uuid4().hex[:12]}"
    yield name
    system_keyring.remove(name)
    keyring.core._keyring_backend = before


@pytest.mark.keyring
async def test_a_real_keyring_gives_back_what_it_was_given(entry, tmp_path):
    assert system_keyring.read(entry) is None
    key = Stored("vck_" + "x~!'\"\\%" * 200, (ORIGIN, "https://other.example:443"))
    system_keyring.write(entry, Stored("older", (ORIGIN,)))
    system_keyring.write(entry, key)
    assert system_keyring.read(entry) == key
    vault = Vault(str(tmp_path), Variables())
    assert await vault.secret(Secret((Keyring(entry),)), origin=ORIGIN, gateway="x") == key.key
    assert system_keyring.remove(entry)
    assert not system_keyring.remove(entry)
    assert await vault.lookup(Secret((Keyring(entry),)), origin=ORIGIN, gateway="x") is None


def sidecar(home, *arguments, given="", **settings):
    return subprocess.run(
        [*settings.pop("before", ()), sys.executable, "-m", "sidecar", *arguments],
        input=given,
        env={**os.environ, "SIDECAR_HOME": str(home), **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.keyring
def test_login_and_logout_with_a_real_keyring(entry, tmp_path):
    home = tmp_path / "home"
    home.mkdir(0o700)
    (home / "config.yaml").write_text(f"gateways: {{{entry}: {{base_url: '{ORIGIN}'}}}}\n")
    done = sidecar(home, "login", entry, "--stdin", given="the-real-key\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert system_keyring.read(entry, str(home)) == Stored("the-real-key", (ORIGIN,))
    assert system_keyring.read(entry) is None, "the entry is this home's alone"
    assert not any("the-real-key" in path.read_text() for path in home.rglob("*") if path.is_file())
    assert sidecar(home, "logout", entry).returncode == 0
    assert system_keyring.read(entry, str(home)) is None
    assert sidecar(home, "logout", entry).returncode == 0


@pytest.mark.keyring
def test_a_real_keyring_that_is_locked_is_named_in_a_short_time(tmp_path):
    bus = shutil.which("dbus-run-session")
    if bus is None or shutil.which("gnome-keyring-daemon") is None:
        pytest.skip("needs dbus-run-session and gnome-keyring-daemon (Debian: dbus, gnome-keyring)")
    # A session of its own, whose keyring nobody has unlocked and for which nobody can be asked.
    done = sidecar(
        tmp_path / "home", "login", "vercel", "--stdin", given="key-1234\n", before=(bus, "--"), XDG_DATA_HOME=str(tmp_path), DISPLAY=""
    )
    assert done.returncode == 4
    assert "keyring" in done.stderr
    assert "key-1234" not in done.stdout + done.stderr
