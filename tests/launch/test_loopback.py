"""One function says what loopback is, for the configuration, the guard and the way out alike."""

from __future__ import annotations

import pytest

from sidecar.config import scalars, schema
from sidecar.launch.loopback import is_local_name, is_loopback
from sidecar.proxy import dial
from sidecar.server import guard

LOOPBACK = (
    *("localhost", "LOCALHOST", "localhost.", "gw.localhost", "a.b.localhost.", "127.0.0.1", "127.0.0.2", "127.255.255.254"),
    *("127.1", "127.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "2130706433", "::1", "0:0:0:0:0:0:0:1", "::1%lo", "::ffff:127.0.0.1"),
)
ELSEWHERE = (
    *("", ".", "localhost.evil.example", "localhost.localdomain", ".localhost", "a..localhost", "evil-localhost", "127.0.0.1.example"),
    *("10.0.0.1", "0.0.0.0", "128.0.0.1", "126.255.255.255", "0x80.1", "134744072", "::", "::2", "::ffff:10.0.0.1", "fe80::1%lo"),
    *("127.0.0.1 evil.example", "127.0.0.256", "7f000001", "face", "[::1]", "127.0.0.1:80"),
)


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_means_this_machine_only(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_what_may_mean_another(host):
    assert not is_loopback(host)


def test_names_are_told_from_addresses():
    assert is_local_name("gw.localhost")
    assert not is_local_name("127.0.0.1")


def test_everybody_asks_the_same_function():
    assert scalars.is_loopback is schema.is_loopback is dial.is_loopback is guard._is_loopback.__wrapped__ is is_loopback
