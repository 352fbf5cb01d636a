"""From a gateway to an open connection: which proxy, which address; and every way in which that fails, named.

Environment variables are asked for by name: the daemon's own environment holds none, they are handed over by the shell that
started it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs

from sidecar.errors import Refusal
from sidecar.launch.loopback import is_local_name, is_loopback
from sidecar.limits import limited
from sidecar.proxy import descriptors
from sidecar.proxy.connection import Connection
from sidecar.proxy.no_proxy import is_excepted
from sidecar.proxy.trust import trusted
from sidecar.wire.message import MAX_HEAD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from sidecar.gateways.gateway import Gateway
    from sidecar.proxy.trust import Trust

    Lookup = Callable[[str], str | None]

T = TypeVar("T", bound=asyncio.Protocol)

#: Half of what RFC 8305 section 5 recommends at most: the second address family is tried after this.
HAPPY_EYEBALLS_SECONDS = 0.25
#: Data that stays unacknowledged for this long means that the peer is gone (after a sleep, a lost VPN); the kernel's own limit is
#: about 15 minutes.  Silence is no sign of it: a model may think for ten.
USER_TIMEOUT_MS = 20_000
#: A silent connection is asked for a sign of life after this long; an answer that is missing for a third of it is missing for good.
#: The systems' own interval, 75 s and eight times, would let a stream wait for eleven minutes.
KEEPALIVE_SECONDS = 60
KEEPALIVE_INTERVAL_SECONDS = 20
KEEPALIVE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and how: connections to equal endpoints are interchangeable.

    `path` is what the base URL puts before every path.  `trust` None is plain HTTP.  `proxy` is (host, port, authorization or None).
    """

    host: str
    port: int
    authority: str
    path: str
    trust: Trust | None
    proxy: tuple[str, int, str | None] | None

    @property
    def is_forwarded(self) -> bool:
        """True if the request line has to hold the whole address: a plain http gateway behind a proxy (RFC 9112 section 3.2.2)."""
        return self.proxy is not None and self.trust is None


def endpoint(gateway: Gateway, variable: Lookup) -> Endpoint:
    """`variable` gives the value of an environment variable.  Raises `Refusal` where proxy or certificates cannot be used."""
    url = urlsplit(gateway.base_url)
    host = url.hostname or ""
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    return Endpoint(
        host=host,
        port=port,
        authority=url.netloc,
        path=url.path,
        trust=trusted(gateway.name, variable("SSL_CERT_FILE"), variable("NODE_EXTRA_CA_CERTS"), gateway.ca_file) if secure else None,
        proxy=_proxy(gateway, url.scheme, host, port, variable),
    )


def _proxy(gateway: Gateway, scheme: str, host: str, port: int, variable: Lookup) -> tuple[str, int, str | None] | None:
    """The proxy on the way to `host`, None if there is none.  Raises `Refusal` for one whose address cannot be read."""
    if gateway.proxy == "none" or is_loopback(host):
        return None
    if gateway.proxy != "env":
        return _proxy_address(gateway.name, "`proxy:` in the configuration", gateway.proxy)
    # Lower case first: https_proxy is the older spelling, and curl and Node let it win.
    named = next((name for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY") if variable(name)), None)
    excepted = variable("no_proxy") or variable("NO_PROXY")
    if named is None or (excepted and is_excepted(host, port, excepted)):
        return None
    return _proxy_address(gateway.name, f"the variable {named}", variable(named) or "")


def _proxy_address(gateway: str, where: str, text: str) -> tuple[str, int, str | None]:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port
        (host or "").encode("idna")  # as the system's resolver is asked
    except ValueError:  # a bracket that is none, a port that is no number: as in a password that is not percent-encoded
        host = None
    # Behind a slash that is not encoded the rest of a password looks like a path, and its beginning like a port.
    if not host or url.scheme != "http" or port == 0 or url.path not in {"", "/"} or url.fragment or url.query:
        raise Refusal(
            "unreachable",
            f"the proxy for gateway {gateway!r} in {where} is not an http:// address",
            "it has to be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with signs like #, / and [ in the password percent-encoded",
            retry=False,
        )
    credentials = None
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        credentials = "Basic " + base64.b64encode(pair.encode()).decode()
    return host, port or 80, credentials


async def dial(endpoint: Endpoint, seconds: float | None) -> Connection:
    """Open a connection; the limit holds for all of it, name, TCP, proxy and TLS.  Raises `Refusal`."""
    with _named_failures(endpoint):
        async with _limit(endpoint, seconds):
            via = endpoint.proxy
            loop = asyncio.get_running_loop()
            tls = endpoint.trust.context if endpoint.trust else None
            server_name = endpoint.host if tls else None
            host, port = via[:2] if via else (endpoint.host, endpoint.port)
            # A name that means this machine is not left to a name server: it may say otherwise, and a key may go out in clear.
            addresses = await loop.getaddrinfo("localhost" if is_local_name(host) else host, port, type=socket.SOCK_STREAM)
            if descriptors.are_scarce():
                raise descriptors.refusal()
            if len(addresses) == 1 and addresses[0][0] == socket.AF_INET and not (via and tls):
                # Nothing to choose between, so the loop connects by itself, for less than the way below costs.
                _, connection = await loop.create_connection(Connection, *addresses[0][4][:2], ssl=tls, server_hostname=server_name)
                _check_open(connection)
                _watch(connection.transport.get_extra_info("socket"))
                return connection
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS, interleave=1, socket_factory=_socket
            )
            try:
                if via and tls:
                    return await _through_tunnel(sock, endpoint, tls, via[2])
                _, connection = await loop.create_connection(Connection, sock=sock, ssl=tls, server_hostname=server_name)
            except BaseException:
                sock.close()
                raise
            _check_open(connection)
            return connection


def _check_open(connection: Connection) -> None:
    """Raises OSError unless the system, too, calls it connected.

    A loop takes a socket that becomes ready without an error for connected.  One that fails while it is being opened can be ready with
    its error taken already; a request would be sent on it, and its end blamed on the gateway.
    """
    try:
        connection.transport.get_extra_info("socket").getpeername()
    except OSError:
        connection.close()
        raise


def _socket(address: tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]) -> socket.socket:
    sock = socket.socket(family=address[0], type=address[1], proto=address[2])
    sock.setblocking(False)
    _watch(sock)
    return sock


def _watch(sock: socket.socket) -> None:
    """Have the system notice a peer that is gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (
        ("TCP_KEEPIDLE", KEEPALIVE_SECONDS),
        ("TCP_KEEPALIVE", KEEPALIVE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_TRIES),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    )
    for name, value in options:
        if (option := getattr(socket, name, None)) is not None:  # Linux, macOS and Windows each have some of them
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


_TUNNEL_OPEN = (b"HTTP/1.1 200", b"HTTP/1.0 200")


class _Tunnel(asyncio.Protocol):
    """Reads a proxy's answer to CONNECT, up to the empty line; TLS takes over the transport behind it.

    Only behind a 200 the empty line is waited for: what is no HTTP may never send one.
    """

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        self._head += data
        status, found, _ = self._head.partition(b"\r\n")
        if b"\r\n\r\n" in self._head or (found and not status.startswith(_TUNNEL_OPEN)):
            self.answer.set_result(status)
        elif len(self._head) > MAX_HEAD:
            self.answer.set_exception(Refusal("unreachable", "the proxy's answer to CONNECT does not end"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("the proxy closed the connection"))


async def _through_tunnel(sock: socket.socket, endpoint: Endpoint, tls: ssl.SSLContext, credentials: str | None) -> Connection:
    loop = asyncio.get_running_loop()
    transport, tunnel = await loop.create_connection(_Tunnel, sock=sock)
    try:
        target = f"[{endpoint.host}]:{endpoint.port}" if ":" in endpoint.host else f"{endpoint.host}:{endpoint.port}"
        authorization = f"Proxy-Authorization: {credentials}\r\n" if credentials else ""
        transport.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n".encode())
        status = await tunnel.answer
        if not status.startswith(_TUNNEL_OPEN):
            raise Refusal("unreachable", f"the proxy refused the way to {target}: {status[:80].decode('latin-1')!r}")
        connection = Connection()
        upgraded = await loop.start_tls(transport, connection, tls, server_hostname=endpoint.host)
    except BaseException:
        transport.abort()
        raise
    if upgraded is None:
        raise ConnectionResetError
    connection.connection_made(upgraded)
    return connection


@contextlib.asynccontextmanager
async def _limit(endpoint: Endpoint, seconds: float | None) -> AsyncIterator[None]:
    try:
        async with limited(seconds):
            yield
    except TimeoutError as error:
        if seconds is None or error.errno is not None:
            raise  # the system's own ETIMEDOUT, not this limit
        raise Refusal(
            "timeout_connect",
            f"no connection to {endpoint.host}:{endpoint.port} within {seconds:g} s",
            "timeouts.connect in the configuration sets this limit; is the network up?",
        ) from error


@contextlib.contextmanager
def _named_failures(endpoint: Endpoint) -> Iterator[None]:
    where = f"{endpoint.host}:{endpoint.port}"
    via = f" through the proxy {endpoint.proxy[0]}:{endpoint.proxy[1]}" if endpoint.proxy else ""
    try:
        yield
    except socket.gaierror as error:
        raise Refusal(
            "unreachable", f"there is no such host as {(endpoint.proxy or (endpoint.host,))[0]!r}{via}: {error.strerror}", retry=False
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise Refusal(
            "unreachable",
            f"the certificate of {where}{via} cannot be trusted: {error.verify_message or error.reason}",
            "behind a company's proxy set `ca_file:` in the configuration or NODE_EXTRA_CA_CERTS",
            retry=False,
        ) from error
    except ssl.SSLError as error:
        raise Refusal("unreachable", f"TLS with {where}{via} failed: {error.reason or error}", retry=False) from error
    except (OSError, ExceptionGroup) as error:
        causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        if any(isinstance(cause, OSError) and cause.errno in descriptors.EXHAUSTED for cause in causes):
            raise descriptors.refusal() from error
        # Not `strerror`: asyncio puts "Connect call failed (…)" there.
        what = next((os.strerror(cause.errno) for cause in causes if isinstance(cause, OSError) and cause.errno), None)
        raise Refusal("unreachable", f"no connection to {where}{via}: {what or 'the connection was closed'}") from error
