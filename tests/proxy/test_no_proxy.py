"""NO_PROXY, entry by entry."""

from __future__ import annotations

import pytest

from sidecar.proxy.no_proxy import is_excepted


@pytest.mark.parametrize(
    ("host", "port", "entries"),
    [
        ("gw.example", 443, "*"),
        ("gw.example", 443, "gw.example"),
        ("GW.Example.", 443, "other, gw.EXAMPLE"),
        ("gw.example", 443, "example"),
        ("gw.corp.example", 443, ".corp.example"),
        ("corp.example", 443, ".corp.example"),
        ("gw.corp.example", 443, "*.corp.example"),
        ("gw.example", 8443, "gw.example:8443"),
        ("gw.example", 8443, "*:8443"),
        ("gw.corp.example", 8443, ".corp.example:8443"),
        ("10.1.2.3", 80, "10.0.0.0/8"),
        ("10.1.2.3", 80, "10.1.2.3:80"),
        ("fd00::1", 443, "fd00::/8"),
        ("fd00::1", 443, "[fd00::]/8"),
        ("fd00::1", 443, "[fd00::1]"),
        ("fd00::1", 443, "[fd00::1]:443"),
        ("fd00::1", 443, "fd00:0::1"),
        ("gw.example", 443, " a.example  gw.example "),
    ],
)
def test_what_an_entry_excepts(host, port, entries):
    assert is_excepted(host, port, entries)


@pytest.mark.parametrize(
    ("host", "port", "entries"),
    [
        ("gw.example", 443, ""),
        ("gw.example", 443, ", ,"),
        ("gw.example", 443, "."),
        ("evilgw.example", 443, "gw.example"),
        ("gw.example.evil", 443, "gw.example"),
        ("gw.example", 443, "gw.example:8443"),
        ("gw.example", 443, "*:8443"),
        ("fe00::1", 443, "[fd00::]/16"),
        ("11.1.2.3", 80, "10.0.0.0/8"),
        ("gw.example", 80, "10.0.0.0/8"),
        ("10.1.2.3", 80, "10.1.2"),
        ("10.1.2.3", 80, "2.3"),
        ("10.1.2.3", 80, "10.0.0.0/99"),
        ("fd00::1", 443, "[fd00::1]:80"),
        ("fd00::1", 443, "[fd00::2]"),
    ],
)
def test_what_it_does_not(host, port, entries):
    assert not is_excepted(host, port, entries)
