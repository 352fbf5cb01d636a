"""Files that others may have made are read without waiting and without end."""

from __future__ import annotations

import os
import sys

import pytest

from sidecar.launch.files import NotRegular, read_regular


def test_a_file_is_read_up_to_the_limit_and_through_links(tmp_path):
    (tmp_path / "a").write_bytes(b"abcdef")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_regular(str(tmp_path / "b"), 4) == b"abcd"
    with pytest.raises(FileNotFoundError):
        read_regular(str(tmp_path / "c"), 4)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders there")
def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero", str(tmp_path)):
        with pytest.raises(NotRegular, match="is not a file"):
            read_regular(path, 4)


@pytest.mark.skipif(not hasattr(os, "O_NONBLOCK"), reason="this system has no such flag")
def test_a_system_without_the_flag_for_not_waiting_reads_files_too(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"abc")
    monkeypatch.delattr(os, "O_NONBLOCK")
    assert read_regular(str(tmp_path / "a"), 4) == b"abc"


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no list of open files here")
def test_no_descriptor_is_left_open(tmp_path):
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(NotRegular):
        read_regular(str(tmp_path), 4)
    assert len(os.listdir("/dev/fd")) == before
