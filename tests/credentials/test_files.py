from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.credentials.files import LARGEST_FILE, dotenv_value, first_line, read_private, version
from sidecar.errors import CredentialFailed

DOTENV = """\ufeff# comes from a tool
PLAIN=one
export EXPORTED = two
SINGLE='th#ree \\n' # a comment
DOUBLE="fo\\"ur # not a comment" # a comment
COMMENTED=five # a comment
HASHED=si#x
EMPTY=
BLANK=   # a comment
CRLF=seven\r
TWICE=first
TWICE=last
not an assignment
OPEN="eight
"""


@pytest.fixture
def private(tmp_path):
    def write(content: bytes, mode: int = 0o600) -> str:
        path = tmp_path / "key"
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PLAIN", "one"),
        ("EXPORTED", "two"),
        ("SINGLE", "th#ree \\n"),
        ("DOUBLE", 'fo"ur # not a comment'),
        ("COMMENTED", "five"),
        ("HASHED", "si#x"),
        ("EMPTY", ""),
        ("BLANK", ""),
        ("CRLF", "seven"),
        ("TWICE", "last"),
        ("OPEN", '"eight'),
        ("MISSING", None),
        ("LAIN", None),
    ],
)
def test_a_dotenv_value_is_what_a_shell_would_make_of_it(private, name, value):
    text, _ = read_private(private(DOTENV.encode()))
    assert dotenv_value(text, name) == value


@given(st.text(), st.text())
def test_any_dotenv_text_is_read_without_an_error(before, value):
    dotenv_value(f"{before}\nNAME={value}", "NAME")


def test_the_first_line_is_taken_without_the_space_around_it(private):
    text, _ = read_private(private(b"\xef\xbb\xbf  key \r\nother\n"))
    assert first_line(text) == "key"


def test_a_file_that_is_not_there_is_none_and_no_error(tmp_path):
    assert read_private(str(tmp_path / "missing")) is None
    assert read_private(str(tmp_path / "missing" / "deeper")) is None
    assert version(str(tmp_path / "missing")) is None


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o660])
def test_a_file_open_to_others_is_refused_and_left_as_it_is(private, mode):
    path = private(b"very-secret", mode)
    with pytest.raises(CredentialFailed) as refused:
        read_private(path)
    assert f"{mode:04o}" in refused.value.message
    assert refused.value.hint.startswith(f"chmod 600 {path}")
    assert "very-secret" not in str(refused.value)
    assert os.stat(path).st_mode & 0o777 == mode


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX's")
def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(CredentialFailed):
            read_private(str(tmp_path / name))


def test_a_file_too_large_for_a_key_is_refused(private):
    with pytest.raises(CredentialFailed, match="larger"):
        read_private(private(b"x" * (LARGEST_FILE + 1)))


def test_the_version_changes_with_the_content_and_with_the_file(private, tmp_path):
    path = private(b"one")
    first = version(path)
    assert read_private(path) == ("one", first)
    os.utime(path, ns=(1, 1))
    second = version(path)
    (tmp_path / "new").write_bytes(b"two")
    os.utime(tmp_path / "new", ns=(1, 1))
    (tmp_path / "new").replace(path)
    assert len({first, second, version(path)}) == 3
