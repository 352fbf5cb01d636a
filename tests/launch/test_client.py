from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from sidecar.errors import NotRunning, SidecarError
from sidecar.launch import client, places
from sidecar.launch import daemon_state as state
from sidecar.launch.passes import health_proof
from sidecar.launch.passkey import load_or_create


@pytest.fixture
def here(tmp_path):
    return places.find({"SIDECAR_HOME": str(tmp_path / "home")})


@pytest.fixture
def peer():
    """Answers each connection with what `reply` makes of the request, then closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    class Peer:
        port = listener.getsockname()[1]
        reply = staticmethod(lambda request: b"")  # noqa: ARG005 - tests set it

    def answer():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection:
                connection.sendall(Peer.reply(connection.recv(65536)))

    thread = threading.Thread(target=answer)
    thread.start()
    yield Peer
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def http(value, status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n\r\n" + json.dumps(value).encode()


def known(here, peer, **changed):
    load_or_create(here.pass_key)
    found: state.State = {
        "pid": 1, "host": "127.0.0.1", "port": peer.port, "instance": "i", "version": "0", "config": None, "config_error": None,
        "ledger": {"error": None},
        "started_at": "", "gateway": "g", "variables": [], "gateways": {}, **changed,
    }  # fmt: skip
    state.write(here.state_file, found)
    return found


def healthy(here, instance="i", key=None):
    def reply(request):
        nonce = request.partition(b"nonce=")[2].partition(b" ")[0].decode()
        return http(
            {"name": "sidecar", "version": "0", "instance": instance, "proof": health_proof(key or load_or_create(here.pass_key), nonce)}
        )

    return reply


def test_a_daemon_that_proves_itself_is_verified(here, peer):
    found = known(here, peer)
    peer.reply = healthy(here)
    assert client.verified(here) == found


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nnot json",
        http([]),
        http({"name": "sidecar", "instance": "i"}),
        http({"name": "sidecar", "instance": "i", "proof": None}),
        http({"name": "sidecar", "instance": "i", "proof": "ä"}),
        http({"name": "sidecar", "instance": "i", "proof": "0" * 64}),
    ],
)
def test_whoever_cannot_prove_it_is_not_our_daemon(here, peer, reply):
    known(here, peer)
    peer.reply = lambda _: reply
    assert client.verified(here) is None


def test_neither_is_one_of_another_home_or_another_instance(here, peer):
    known(here, peer)
    peer.reply = healthy(here, key=b"0" * 32)
    assert client.verified(here) is None
    peer.reply = healthy(here, instance="other")
    assert client.verified(here) is None


def test_without_state_file_or_key_there_is_none(here, peer):
    assert client.verified(here) is None
    state.write(here.state_file, known(here, peer))
    peer.reply = healthy(here)
    os.unlink(here.pass_key)
    assert client.verified(here) is None


def test_a_refusal_is_told_in_the_daemons_own_words(here, peer):
    found = known(here, peer)
    peer.reply = lambda _: http({"type": "error", "error": {"type": "x", "message": "sidecar: no such gateway"}}, b"400 Bad Request")
    with pytest.raises(SidecarError) as refused:
        client.ask(here, found, "GET", "/_sidecar/credential?gateway=x")
    assert refused.value.message == "no such gateway"


def test_an_answer_without_a_body_is_an_empty_one(here, peer):
    found = known(here, peer)
    peer.reply = lambda _: b"HTTP/1.1 204 No Content\r\n\r\n"
    assert client.ask(here, found, "POST", "/_sidecar/variables", {}) == {}


def test_a_daemon_that_has_gone_is_not_running(here, peer):
    found = known(here, peer)
    with pytest.raises(NotRunning):
        client.ask(here, found, "GET", "/_sidecar/status")


def test_a_peer_that_never_answers_is_given_up_on():
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OSError, match="timed out"):
        client.request(silent.getsockname()[1], "GET", "/", timeout_seconds=0.05)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:7"), ("::1", "http://[::1]:7"), ("0.0.0.0", "http://127.0.0.1:7"), ("::", "http://[::1]:7"), ("192.0.2.1", "http://192.0.2.1:7")],
)  # fmt: skip
def test_an_agent_is_sent_to_an_address_that_it_can_reach(host, url):
    assert client.base_url({"host": host, "port": 7}) == url
