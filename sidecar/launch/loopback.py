"""Which hosts are this machine's loopback: the one place that says so.

It decides whether a key may go out in clear, whether a request bypasses a proxy, what may be listened on, and whose requests are let in.
"""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without brackets, can mean no other machine.

    `localhost` and names below it (RFC 6761 section 6.3); IPv4 in each spelling that resolvers take (`127.1`, `0x7f.1`, `2130706433`);
    IPv6, with a zone, and with an IPv4 address in it.
    """
    name = host.lower().removesuffix(".")
    if is_local_name(name):
        return True
    import ipaddress  # noqa: PLC0415 - `sidecar run` needs names only
    import socket  # noqa: PLC0415

    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        if not name or not set(name) <= set("0123456789abcdefx."):
            return False
        try:
            return socket.inet_aton(name)[0] == 127
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_local_name(host: str) -> bool:
    """`localhost`, or a name below it."""
    name = host.lower().removesuffix(".")
    return name == "localhost" or (name.endswith(".localhost") and ".." not in name and len(name) > len(".localhost"))
