"""The way to a gateway: certificates, proxies, and every failure under its own name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import os
import socket
import ssl
import sys

import pytest
import trustme
from fakes.raw import raw_gateway, reply, says
from fakes.sink import Sink
from fakes.tunnel import proxy

from sidecar.config.settings import Timeouts
from sidecar.errors import Refusal
from sidecar.gateways.gateway import Auth, Gateway, Secret
from sidecar.proxy import dial
from sidecar.proxy.connection import ONE_WRITE
from sidecar.proxy.dial import endpoint
from sidecar.proxy.upstream import Upstream


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    authority.path = str(path)
    return authority


def server_side(authority, *names, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


def gateway(url, **more):
    return Gateway(name="g", preset=None, base_url=url, auth=Auth("x-api-key"), credential=Secret(()), **more)


async def ask(gateway, variables=None, timeouts=None, body=None):
    upstream = Upstream((variables or {}).get)
    fields = [] if body is None else [(b"Content-Length", b"%d" % sum(map(len, body)))]
    timeouts = timeouts or Timeouts()
    try:
        with contextlib.closing(await upstream.send(gateway, "GET", "/x?y", fields, body, timeouts.connect)) as got:
            message = await got.head(timeouts.first_byte)
            sink = Sink()
            await got.pour(sink)
            return message.status, sink.body
    finally:
        upstream.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
async def test_a_socket_that_is_taken_for_open_and_is_not_is_a_failure_to_connect(monkeypatch, address):
    """Ready, without an error, and not connected: as a socket can be that fails while it is being opened."""

    def unconnected(*_, **__):
        sock = socket.socket(socket.AF_INET if address == "127.0.0.1" else socket.AF_INET6)
        sock.setblocking(False)
        return sock

    loop = type(asyncio.get_running_loop())
    create = loop.create_connection

    async def taken_for_open(self, protocol, *_, sock=None, **__):
        return await create(self, protocol, sock=sock or unconnected())

    async def start_connection(*_, **__):
        return unconnected()

    monkeypatch.setattr(loop, "create_connection", taken_for_open)
    monkeypatch.setattr(dial.aiohappyeyeballs, "start_connection", start_connection)
    with pytest.raises(Refusal, match="no connection to") as refused:
        await ask(gateway(f"http://{address}:9"))
    assert refused.value.code == "unreachable"


@pytest.mark.parametrize("how", ["ca_file", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"])
async def test_a_companys_certificates_are_added(authority, how):
    async with raw_gateway(says(reply(b"ok")), ssl=server_side(authority, "127.0.0.1")) as there:
        named = gateway(there.url, ca_file=authority.path if how == "ca_file" else None)
        assert await ask(named, {how: authority.path}) == (200, b"ok")


@pytest.mark.parametrize(
    ("options", "says_what"),
    [
        ({"names": ["other.example"]}, "mismatch"),
        ({"names": ["127.0.0.1"], "not_before": "2001-01-01", "not_after": "2002-01-01"}, "expired"),
        ({"names": ["127.0.0.1"], "unknown": True}, "unable to get|self.signed"),
    ],
    ids=["wrong name", "expired", "unknown authority"],
)
async def test_a_certificate_that_cannot_be_trusted_is_named_and_not_asked_again(authority, options, says_what):
    dates = {name: dt.datetime.fromisoformat(options[name]) for name in ("not_before", "not_after") if name in options}
    signer = trustme.CA() if options.get("unknown") else authority
    async with raw_gateway(says(reply(b"ok")), ssl=server_side(signer, *options["names"], **dates)) as there:
        with pytest.raises(Refusal, match=f"(?i)certificate.*({says_what})") as refused:
            await ask(gateway(there.url, ca_file=authority.path))
        assert (refused.value.code, refused.value.retry) == ("unreachable", False)


async def test_a_gateway_that_does_not_speak_tls_is_named(authority):
    async def plain(talk):
        await talk.reader.read(1)
        await talk.send(reply(b"speak up", status=b"400 Bad Request"))

    async with raw_gateway(plain) as there:
        with pytest.raises(Refusal, match="TLS") as refused:
            await ask(gateway(there.url.replace("http:", "https:"), ca_file=authority.path))
        assert (refused.value.code, refused.value.retry) == ("unreachable", False)


async def test_a_certificate_file_that_is_gone_is_named():
    with pytest.raises(Refusal, match=r"CA file.*/nowhere\.pem") as refused:
        await ask(gateway("https://127.0.0.1:1", ca_file="/nowhere.pem"))
    assert refused.value.retry is False


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders there")
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])
def test_a_pipe_in_the_place_of_certificates_is_named_and_not_read(name, tmp_path):
    os.mkfifo(tmp_path / "ca.pem")
    with pytest.raises(Refusal, match=r"CA file.*/ca\.pem is not a file"):
        endpoint(gateway("https://g.example"), {name: str(tmp_path / "ca.pem")}.get)


async def test_a_connection_that_does_not_come_about_has_its_limit():
    async def silent(talk):
        await talk.reader.read()

    async with raw_gateway(silent) as there:  # it accepts, and never answers the TLS greeting
        with pytest.raises(Refusal, match=r"0\.05 s") as refused:
            await ask(gateway(there.url.replace("http:", "https:")), timeouts=Timeouts(connect=0.05))
        assert refused.value.code == "timeout_connect"


@pytest.mark.parametrize("size", [100, ONE_WRITE, 3 * ONE_WRITE + 1])
async def test_a_body_in_pieces_arrives_as_one(authority, size):
    body = bytearray(os.urandom(size))
    async with raw_gateway(says(reply(b"ok")), ssl=server_side(authority, "127.0.0.1")) as there:
        pieces = (memoryview(body)[:10], b"between", memoryview(body)[10:])
        assert await ask(gateway(there.url, ca_file=authority.path), body=pieces) == (200, b"ok")
        assert there.requests[0].body == body[:10] + b"between" + body[10:]


async def test_https_goes_through_a_tunnel_and_is_checked_at_its_end(authority):
    async with raw_gateway(says(reply(b"ok")), ssl=server_side(authority, "gateway.example")) as there, proxy() as (url, seen):
        named = gateway(f"https://gateway.example:{there.port}", ca_file=authority.path)
        assert await ask(named, {"HTTPS_PROXY": url.replace("://", "://me:p%40ss@")}) == (200, b"ok")
        assert seen[0].startswith(b"CONNECT gateway.example:%d HTTP/1.1\r\n" % there.port)
        assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss") in seen[0]
        assert there.requests[0].values(b"proxy-authorization") == []


async def test_http_is_forwarded_by_its_whole_address():
    async with proxy() as (url, seen):
        assert await ask(gateway("http://gateway.example:81/base", proxy=url)) == (200, b"forwarded")
        assert seen[0].startswith(b"GET http://gateway.example:81/base/x?y HTTP/1.1\r\nHost: gateway.example:81\r\n")


async def test_a_proxy_that_refuses_is_quoted():
    async with proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as (url, _):
        with pytest.raises(Refusal, match="407"):
            await ask(gateway("https://gateway.example", proxy=url))


@pytest.mark.parametrize(
    ("url", "setting", "variables", "through"),
    [
        ("https://g.example", "env", {"HTTPS_PROXY": "http://p:1"}, ("p", 1)),
        ("https://g.example", "env", {"https_proxy": "http://q:2", "HTTPS_PROXY": "http://p:1"}, ("q", 2)),
        ("https://g.example", "env", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://g.example", "env", {"HTTP_PROXY": "p:1"}, ("p", 1)),
        ("https://g.example", "env", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a, .example"}, None),
        ("https://g.example", "env", {"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, None),
        ("https://g.example", "none", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://g.example", "http://own:3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, ("own", 3)),
        ("http://127.0.0.1:9", "env", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://localhost:9", "http://own:3", {}, None),
        ("http://[::1]:9", "env", {"HTTP_PROXY": "http://p:1"}, None),
    ],
)
def test_which_proxy_is_taken(url, setting, variables, through):
    there = endpoint(gateway(url, proxy=setting), variables.get).proxy
    assert (there and there[:2]) == through


@pytest.mark.parametrize(
    "value",
    [
        "http://user:pa[ss@p:8080",
        "http://user:p#ss@p:8080",
        "http://p:port",
        "http://[::1",
        "http://p:99999",
        "http://p:0",
        "http://user:1/ss@p:8080",
        "http://user:p?ss@p:8080",
        "http://p..example:8080",
        "http://.p:8080",
        f"http://{'p' * 64}:8080",
        "\udcff",
        "socks5://p:1",
        "http://",
        "p?q",
    ],
)
def test_a_proxy_that_cannot_be_read_is_named_without_its_password(value):
    with pytest.raises(Refusal) as refused:
        endpoint(gateway("https://g.example"), {"https_proxy": value}.get)
    assert (refused.value.code, refused.value.retry) == ("unreachable", False)
    assert "in the variable https_proxy is not an http:// address" in refused.value.message
    assert "ss@" not in str(refused.value)
    with pytest.raises(Refusal, match="in `proxy:` in the configuration is not"):
        endpoint(gateway("https://g.example", proxy=value), lambda _name: None)


@pytest.mark.parametrize("host", ["gw.localhost", "LOCALHOST", "localhost.", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_what_is_this_machine_is_never_asked_through_a_proxy(host):
    assert endpoint(gateway(f"http://{host}:9"), {"http_proxy": "http://p:1"}.get).proxy is None


async def test_a_name_below_localhost_is_this_machine_whatever_a_name_server_says():
    async with raw_gateway(says(reply(b"ok"))) as there:
        port = there.url.rpartition(":")[2]
        assert await ask(gateway(f"http://gw.localhost:{port}")) == (200, b"ok")


def test_a_proxy_of_another_kind_is_refused():
    with pytest.raises(Refusal, match="http://"):
        endpoint(gateway("https://g.example", proxy="socks5://p:1"), lambda _name: None)
