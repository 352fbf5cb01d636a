from __future__ import annotations

import os
import stat
import sys

import pytest

from sidecar.credentials import stored
from sidecar.credentials.stored import Stored
from sidecar.errors import CredentialFailed

KEY = Stored("vck_1234567890", ("https://a.example:443", "https://b.example:8443"))


@pytest.fixture
def keys(tmp_path):
    before = os.umask(0)
    yield str(tmp_path / "keys")
    os.umask(before)


def test_a_key_file_holds_the_key_with_its_origins_for_this_user_alone(keys):
    stored.write_file(keys, "vercel", KEY)
    found, _ = stored.read_file(keys, "vercel")
    assert found == KEY
    if sys.platform != "win32":
        assert stat.S_IMODE(os.stat(keys).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(os.path.join(keys, "vercel")).st_mode) == 0o600


def test_removing_says_whether_there_was_one(keys):
    stored.write_file(keys, "vercel", KEY)
    assert stored.remove_file(keys, "vercel")
    assert not stored.remove_file(keys, "vercel")
    assert stored.read_file(keys, "vercel") is None


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "../a", "a\0b", "-x"])
def test_a_name_that_leads_elsewhere_is_refused(keys, name):
    with pytest.raises(CredentialFailed, match="cannot be the name"):
        stored.write_file(keys, name, KEY)


@pytest.mark.parametrize(
    "text", ["vck_plain_secret", "", "[]", '"vck_plain_secret"', '{"key": 1, "origins": []}', '{"key": "vck_plain_secret"}', "{", "null"]
)
def test_what_login_did_not_write_is_refused_without_showing_it(text):
    with pytest.raises(CredentialFailed) as refused:
        stored.from_text(text, "vercel", "the keyring")
    assert "sidecar login vercel" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("value", ["", "secret\n", "sec\x00ret", "secret\x1b[0m", "sécret", "secret\u200b", "secret\x7f", "\tsecret"])
def test_a_value_that_no_header_can_carry_is_refused_without_showing_it(value):
    with pytest.raises(CredentialFailed) as refused:
        stored.checked(value, "the place")
    assert "the place" in str(refused.value)
    assert "cret" not in str(refused.value)


def test_a_stored_keys_repr_does_not_show_it():
    assert "vck_" not in repr(KEY)
