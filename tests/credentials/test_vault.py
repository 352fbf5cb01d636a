"""Which source wins, what is remembered and for how long, and what is said when there is nothing."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from fakes.keyrings import Locked, Memory, Slow
from keyring.backends import null

from sidecar.credentials import stored, system_keyring
from sidecar.credentials.sources import KeyringThread
from sidecar.credentials.stored import Stored
from sidecar.credentials.vault import REMEMBERED_VALUES, Found, Variables, Vault
from sidecar.errors import CredentialFailed, NoCredential
from sidecar.gateways.gateway import Command, KeyFile, Keyring, Secret, SecretFile, Variable

HERE = "https://gateway.example:443"
ELSEWHERE = "https://elsewhere.example:443"
USUAL = (Keyring("vercel"), KeyFile("vercel"), Variable("FIRST_KEY"), Variable("SECOND_KEY"))

posix_shell = pytest.mark.skipif(sys.platform == "win32", reason="the commands are a POSIX shell's")


class Desk:
    """A vault with what it looks into."""

    def __init__(self, folder, backend):
        self.keys = str(folder / "keys")
        self.keyring = backend
        self.variables = Variables()
        self.vault = Vault(self.keys, self.variables)

    async def ask(self, *sources, origin=HERE, gateway="vercel"):
        return await self.vault.secret(Secret(sources), origin=origin, gateway=gateway)

    async def where(self, *sources):
        found = await self.vault.lookup(Secret(sources), origin=HERE, gateway="vercel")
        return found.where if found else None

    def shell(self, **given):
        self.variables.update(given, ("FIRST_KEY", "SECOND_KEY"))


@pytest.fixture
def desk(tmp_path, use_keyring):
    return Desk(tmp_path, use_keyring(Memory()))


async def test_the_first_source_that_has_a_key_wins(desk):
    desk.shell(SECOND_KEY="from-the-second-variable")
    assert (await desk.ask(*USUAL), await desk.where(*USUAL)) == ("from-the-second-variable", "$SECOND_KEY")
    desk.shell(FIRST_KEY="from-the-first-variable")
    assert await desk.where(*USUAL) == "$FIRST_KEY"
    stored.write_file(desk.keys, "vercel", Stored("from-the-file", (HERE,)))
    assert await desk.where(*USUAL) == "keys/vercel"
    system_keyring.write("vercel", Stored("from-the-keyring", (HERE,)))
    assert await desk.where(*USUAL) == "the keyring"
    assert await desk.ask(*USUAL) == "from-the-keyring"


async def test_what_is_nowhere_is_named_with_all_places_and_the_way_out(desk):
    assert await desk.where(*USUAL) is None
    with pytest.raises(NoCredential) as missing:
        await desk.ask(*USUAL)
    assert missing.value.message == "there is no key for the gateway 'vercel' in the keyring, keys/vercel, $FIRST_KEY or $SECOND_KEY"
    assert missing.value.hint == "sidecar login vercel"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        (Variable("FIRST_KEY"), "set FIRST_KEY in your shell, and start the agent from there with sidecar run"),
        (SecretFile("/nowhere/.env", "NAME"), "write the key to /nowhere/.env"),
        (Keyring("other"), "sidecar login other"),
    ],
)
async def test_the_way_out_fits_the_source(desk, source, hint):
    with pytest.raises(NoCredential) as missing:
        await desk.ask(source)
    assert missing.value.hint == hint


async def test_without_a_keyring_on_the_machine_the_other_sources_serve(desk, use_keyring):
    use_keyring(null.Keyring())
    with pytest.raises(NoCredential) as missing:
        await desk.ask(*USUAL)
    assert "keyring.backends.null.Keyring" in missing.value.message
    assert missing.value.hint == "sidecar login vercel --file"
    desk.shell(FIRST_KEY="from-the-variable")
    assert await desk.ask(*USUAL) == "from-the-variable"
    with pytest.raises(NoCredential) as missing:
        await desk.ask(Keyring("vercel"))
    assert "default-keyring" in missing.value.hint


async def test_a_locked_keyring_is_a_failure_only_when_no_other_source_has_the_key(desk, use_keyring):
    use_keyring(Locked())
    with pytest.raises(CredentialFailed, match="locked"):
        await desk.ask(*USUAL)
    with pytest.raises(CredentialFailed, match="locked"):
        await desk.where(*USUAL)
    desk.shell(FIRST_KEY="from-the-variable")
    assert await desk.ask(*USUAL) == "from-the-variable"


@pytest.mark.parametrize("place", ["keyring", "file"])
async def test_a_key_stored_for_another_origin_is_not_given_out(desk, place):
    key = Stored("for-elsewhere", (ELSEWHERE,))
    if place == "keyring":
        system_keyring.write("vercel", key)
    else:
        stored.write_file(desk.keys, "vercel", key)
    desk.shell(FIRST_KEY="from-the-variable")
    with pytest.raises(NoCredential) as refused:
        await desk.ask(*USUAL)
    assert HERE in refused.value.message
    assert ELSEWHERE in refused.value.message
    assert "sidecar login vercel" in refused.value.hint
    assert await desk.ask(*USUAL, origin=ELSEWHERE) == "for-elsewhere"


async def test_a_cached_key_is_not_given_out_for_another_origin_either(desk):
    system_keyring.write("vercel", Stored("for-here", (HERE,)))
    await desk.ask(*USUAL)
    with pytest.raises(NoCredential):
        await desk.ask(*USUAL, origin=ELSEWHERE)


async def test_the_keyring_is_asked_once_until_the_gateways_key_is_forgotten(desk):
    for name in ("vercel", "edgee"):
        system_keyring.write(name, Stored(f"key-of-{name}", (HERE,)))
    for _ in range(3):
        await desk.ask(Keyring("vercel"))
        await desk.ask(Keyring("edgee"), gateway="edgee")
    assert desk.keyring.reads == 2
    desk.vault.forget("vercel")
    await desk.ask(Keyring("vercel"))
    await desk.ask(Keyring("edgee"), gateway="edgee")
    assert desk.keyring.reads == 3
    desk.vault.forget()
    await desk.ask(Keyring("vercel"))
    await desk.ask(Keyring("edgee"), gateway="edgee")
    assert desk.keyring.reads == 5


async def test_what_was_not_found_is_looked_for_again(desk):
    with pytest.raises(NoCredential):
        await desk.ask(*USUAL)
    system_keyring.write("vercel", Stored("new", (HERE,)))
    assert await desk.ask(*USUAL) == "new"


async def test_all_who_ask_at_the_same_time_share_one_look_up(desk):
    with pytest.raises(NoCredential):
        await asyncio.gather(*(desk.ask(Keyring("vercel")) for _ in range(5)))
    assert desk.keyring.reads == 1
    system_keyring.write("vercel", Stored("key", (HERE,)))
    assert await asyncio.gather(*(desk.ask(Keyring("vercel")) for _ in range(5))) == ["key"] * 5
    assert desk.keyring.reads == 2


async def test_when_the_one_who_looks_goes_away_another_takes_over(desk, use_keyring):
    slow = use_keyring(Slow())
    system_keyring.write("vercel", Stored("key", (HERE,)))
    first, second = (asyncio.ensure_future(desk.ask(Keyring("vercel"))) for _ in range(2))
    await asyncio.to_thread(slow.asked.wait, 5)
    first.cancel()
    slow.unlocked.set()
    assert await second == "key"
    assert first.cancelled()


async def test_a_key_forgotten_while_it_is_looked_up_is_not_kept(desk, use_keyring):
    slow = use_keyring(Slow())
    system_keyring.write("vercel", Stored("old-key", (HERE,)))
    asking = asyncio.ensure_future(desk.ask(Keyring("vercel")))
    await asyncio.to_thread(slow.asked.wait, 5)
    system_keyring.write("vercel", Stored("new-key", (HERE,)))
    desk.vault.forget("vercel")
    slow.unlocked.set()
    assert await asking == "old-key"
    assert await desk.ask(Keyring("vercel")) == "new-key"


async def test_a_keyring_that_waits_for_a_person_is_given_up_and_not_asked_twice(use_keyring):
    slow = use_keyring(Slow())
    thread = KeyringThread(seconds=0.2)
    for _ in range(2):
        with pytest.raises(CredentialFailed, match=r"within 0\.2 s"):
            await thread.read("vercel")
    assert slow.reads == 1
    slow.unlocked.set()
    system_keyring.write("vercel", Stored("key", (HERE,)))
    found = await thread.read("vercel")
    assert found is not None
    assert found.key == "key"


async def test_a_key_file_is_read_again_when_it_changes(desk):
    stored.write_file(desk.keys, "vercel", Stored("one", (HERE,)))
    assert await desk.ask(*USUAL) == "one"
    stored.write_file(desk.keys, "vercel", Stored("two", (HERE,)))
    assert await desk.ask(*USUAL) == "two"
    stored.remove_file(desk.keys, "vercel")
    with pytest.raises(NoCredential):
        await desk.ask(*USUAL)


async def test_a_dotenv_file_is_read_again_when_it_changes(desk, tmp_path):
    path = tmp_path / ".env.local"
    path.touch(0o600)
    source = SecretFile(str(path), "VERCEL_OIDC_TOKEN")
    path.write_text("# by vercel\nOTHER=x\nVERCEL_OIDC_TOKEN='one'\n")
    assert await desk.ask(source) == "one"
    path.write_text("VERCEL_OIDC_TOKEN=three\n")
    assert await desk.ask(source) == "three"
    assert await desk.where(source) == f"{path} (VERCEL_OIDC_TOKEN)"
    path.write_text("VERCEL_OIDC_TOKEN=\n")
    with pytest.raises(NoCredential):
        await desk.ask(source)


async def test_a_file_without_a_key_name_gives_its_first_line(desk, tmp_path):
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(" the-key \r\nmore\n")
    assert await desk.ask(SecretFile(str(path))) == "the-key"


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
async def test_a_file_open_to_others_fails_though_a_later_source_has_a_key(desk):
    stored.write_file(desk.keys, "vercel", Stored("one", (HERE,)))
    os.chmod(stored.file_path(desk.keys, "vercel"), 0o644)
    desk.shell(FIRST_KEY="from-the-variable")
    with pytest.raises(CredentialFailed, match="open to others"):
        await desk.ask(*USUAL)


async def test_a_variable_counts_when_it_is_not_empty_and_its_newest_value_is_used(desk):
    desk.shell(FIRST_KEY="", SECOND_KEY="two", THIRD_KEY="three")
    assert await desk.ask(*USUAL) == "two"
    desk.shell(SECOND_KEY="two-and-a-half")
    assert await desk.ask(*USUAL) == "two-and-a-half"
    assert desk.variables.get("THIRD_KEY") is None


def test_another_shell_takes_no_variable_away_but_a_configuration_does():
    variables = Variables()
    variables.update({"A": "1", "B": "2"}, ("A", "B"))
    variables.update({"B": "3", "A": ""}, ("A", "B"))
    assert (variables.get("A"), variables.get("B")) == ("1", "3")
    variables.update({}, ("B",))
    assert (variables.get("A"), variables.get("B")) == (None, "3")


async def test_a_value_that_no_header_can_carry_fails_without_being_shown(desk):
    desk.shell(FIRST_KEY="se\ncret")
    with pytest.raises(CredentialFailed) as failed:
        await desk.ask(*USUAL)
    assert "FIRST_KEY" in failed.value.message
    assert "cret" not in str(failed.value)


@posix_shell
@pytest.mark.parametrize(("ttl", "runs"), [(None, 1), (60.0, 1), (0.0, 3)])
async def test_a_commands_answer_is_kept_for_its_time(desk, tmp_path, ttl, runs):
    source = Command(("sh", "-c", f"echo run >> {tmp_path}/runs; echo key"), ttl)
    for _ in range(3):
        assert await desk.ask(source) == "key"
    assert len((tmp_path / "runs").read_text().split()) == runs
    desk.vault.forget("vercel")
    await desk.ask(source)
    assert len((tmp_path / "runs").read_text().split()) == runs + 1


@posix_shell
async def test_a_command_runs_once_at_a_time_whoever_asks(desk, tmp_path):
    source = Command(("sh", "-c", f"mkdir {tmp_path}/busy || exit 9; sleep 0.1; rmdir {tmp_path}/busy; echo key"))
    asked = [desk.ask(source, gateway=gateway, origin=origin) for gateway in ("a", "b", "b") for origin in (HERE, ELSEWHERE)]
    assert await asyncio.gather(*asked) == ["key"] * 6


@posix_shell
async def test_a_command_that_prints_nothing_fails(desk):
    with pytest.raises(CredentialFailed, match="empty"):
        await desk.ask(Command(("true",)))


async def test_secrets_stay_in_use_for_the_log_when_they_are_forgotten(desk):
    desk.shell(FIRST_KEY="one-key", SECOND_KEY="never-asked-for")
    await desk.ask(*USUAL)
    desk.shell(FIRST_KEY="another-key")
    desk.vault.forget()
    assert desk.vault.in_use() == {"one-key", "another-key", "never-asked-for"}


async def test_of_forgotten_secrets_only_the_latest_are_remembered(desk):
    for number in range(REMEMBERED_VALUES + 10):
        desk.shell(FIRST_KEY=f"key-{number}")
        await desk.ask(Variable("FIRST_KEY"))
    in_use = desk.vault.in_use()
    assert len(in_use) == REMEMBERED_VALUES
    assert "key-9" not in in_use
    assert {"key-10", f"key-{REMEMBERED_VALUES + 9}"} <= in_use


def test_paths_and_hosts_are_no_secrets_but_a_proxys_password_is():
    variables = Variables()
    given = {
        "HTTPS_PROXY": "http://user:pa%2Fss@proxy:3128",
        "http_proxy": "http://proxy:3128",
        "NO_PROXY": "localhost",
        "SSL_CERT_FILE": "/etc/ssl/corp.pem",
        "EDGEE_API_KEY": "key",
    }
    variables.update(given, tuple(given))
    assert variables.secrets() == {"pa/ss", "key"}


def test_what_was_found_says_where_and_never_what():
    assert repr(Found("the keyring")) == "Found(where='the keyring')"
