"""The language of NO_PROXY, as curl, Go and Node have it between them.  Pure.

Entries are separated by commas or spaces.  `*` is every host; `example.com` and `.example.com` are the host and all below it; an address
is itself, in brackets or not; `10.0.0.0/8` is a network; a port at the end makes an entry hold for that port only.
"""

from __future__ import annotations

import ipaddress


def is_excepted(host: str, port: int, entries: str) -> bool:
    """Whether requests to `host` (without brackets) and `port` go past the proxy."""
    name = host.lower().removesuffix(".")
    return any(_matches(name, port, entry) for entry in entries.lower().replace(",", " ").split())


def _matches(name: str, port: int, entry: str) -> bool:
    entry, entry_port = _split(entry)
    if entry_port and entry_port != str(port):
        return False
    if entry == "*":
        return True
    if "/" in entry:
        return _is_in(name, entry)
    if (address := _address(name)) is not None:
        return address == _address(entry)
    entry = entry.removeprefix("*").strip(".")
    return bool(entry) and (name == entry or name.endswith(f".{entry}"))


def _split(entry: str) -> tuple[str, str]:
    """Host and port of an entry; the colons of an IPv6 address without brackets are its own."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return (host + rest, "") if rest.startswith("/") else (host, rest.removeprefix(":"))
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _is_in(name: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
