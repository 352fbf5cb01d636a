"""The real daemon, from its first start to its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from sidecar.launch import client
from sidecar.launch import daemon_state as state

KEY = "key-that-stays-home"


@pytest.fixture
def home(home):
    """Whatever a test leaves running ends with it."""
    home.environ["AI_GATEWAY_API_KEY"] = KEY
    yield home
    home.run("stop", "--now")


def environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()


def configure(home, text):
    home.path.mkdir(mode=0o700, exist_ok=True)
    (home.path / "config.yaml").write_text(text)


def test_run_starts_the_daemon_and_hands_it_the_shells_key(home):
    home.agent()
    result = home.run("run", "-g", "vercel", "agent")
    assert result.returncode == 0, result.stderr
    environ = json.loads(result.stdout)[1]
    running = client.verified(home.places)
    assert environ["ANTHROPIC_BASE_URL"] == client.base_url(running)
    assert KEY not in result.stdout
    assert client.ask(home.places, running, "GET", "/_sidecar/credential?gateway=vercel")["key"] is True


@pytest.mark.parametrize("is_running", [False, True])
def test_run_has_a_connection_ready_whether_the_daemon_runs_or_is_started_by_it(home, is_running):
    home.agent()
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        gateway.settimeout(10)
        url = f"http://127.0.0.1:{gateway.getsockname()[1]}"
        configure(home, f"gateway: here\ngateways:\n  here: {{base_url: '{url}', credential: {{env: AI_GATEWAY_API_KEY}}}}\n")
        if is_running:
            assert home.run("start").returncode == 0
        assert home.run("run", "agent").returncode == 0
        connection, _ = gateway.accept()
        with connection:
            home.run("stop")
            assert connection.recv(1) == b""  # nothing was ever sent on it


def test_a_key_that_is_set_later_reaches_the_running_daemon(home):
    del home.environ["AI_GATEWAY_API_KEY"]
    home.script("agent", "#!/bin/sh\necho started\n")
    assert home.run("start").returncode == 0
    refused = home.run("run", "-g", "vercel", "agent")
    assert (refused.returncode, refused.stdout) == (125, "")
    assert "sidecar login vercel" in refused.stderr
    home.environ["AI_GATEWAY_API_KEY"] = KEY
    assert home.run("run", "-g", "vercel", "agent").stdout == "started\n"


def test_six_starters_at_once_make_one_daemon_and_six_successes(home):
    starters = [home.popen("start") for _ in range(6)]
    said = {starter.communicate()[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0] * 6
    assert len(said) == 1
    assert re.fullmatch(rb"Serving on http://127\.0\.0\.1:\d+, gateway anthropic\.\n", said.pop())
    home.run("stop")  # what it has logged is in the file by its end
    log = (home.path / "logs" / "sidecar.log").read_text()
    assert log.count("sidecar.started") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_neither_environment_nor_arguments_of_the_daemon_hold_the_key(home):
    home.run("start")
    pid = client.verified(home.places)["pid"]
    assert KEY.encode() not in environment_of(pid)
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        assert KEY.encode() not in file.read()


def test_the_daemon_outlives_its_starter_and_lets_go_of_its_output(home):
    """A pipe that the daemon kept would keep this from ending."""
    result = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m sidecar start | cat"],
        env=home.environ,
        cwd=home.folder,
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert b"Serving" in result.stdout
    assert home.run("status").returncode == 0


@pytest.mark.parametrize(("command", "code"), [(["start"], 3), (["env"], 3), (["run", "true"], 125)], ids=["start", "env", "run"])
def test_a_daemon_that_cannot_start_says_why(home, command, code):
    configure(home, "gateway: nowhere\n")
    result = home.run(*command)
    assert (result.returncode, result.stdout) == (code, "")
    assert "config.yaml:1:" in result.stderr
    assert not state.held(home.places.lock_file)


def test_restart_takes_over_and_stop_ends_it(home):
    home.run("start")
    first = client.verified(home.places)
    assert home.run("restart").returncode == 0
    second = client.verified(home.places)
    assert (first["port"], first["instance"] != second["instance"]) == (second["port"], True)
    assert home.run("stop").stdout == "Stopped.\n"
    assert home.run("status").returncode == 5


def test_restart_starts_what_does_not_run(home):
    assert home.run("restart").returncode == 0
    assert home.run("status").returncode == 0


def test_a_new_configuration_is_seen_by_the_next_run(home):
    home.agent()
    home.run("start")
    configure(home, "gateway: vercel\ngateways:\n  vercel: {agent_env: {MARK: here}}\n")
    result = home.run("run", "agent")
    assert json.loads(result.stdout)[1]["MARK"] == "here"
    assert result.stderr == ""


def test_a_fault_in_a_new_configuration_is_named_and_the_last_good_one_holds(home):
    home.agent()
    home.run("start")
    configure(home, "gateway: nowhere\n")
    result = home.run("run", "-g", "vercel", "agent")
    assert result.returncode == 0
    assert "config.yaml:1:" in result.stderr
    assert json.loads(home.run("status", "--json").stdout)["config"]["error"].startswith("config.yaml:1:")


def test_another_configuration_file_is_named_in_one_line(home, tmp_path):
    home.agent()
    home.run("start")
    other = tmp_path / "other.yaml"
    other.write_text("{}\n")
    result = home.run("--config", str(other), "run", "-g", "vercel", "agent")
    assert result.returncode == 0
    assert result.stderr.count("\n") == 1
    assert str(other) in result.stderr


class Serving:
    """`sidecar serve` in the foreground."""

    def __init__(self, home):
        self.process = home.popen("serve", stdin=subprocess.PIPE)
        self.line = self.process.stdout.readline().decode()


@pytest.fixture
def serving(home):
    serving = Serving(home)
    yield serving
    serving.process.kill()
    serving.process.communicate()


def test_serve_is_found_by_the_other_commands(home, serving):
    assert re.match(r"Serving on http://127\.0\.0\.1:\d+, gateway anthropic\.", serving.line)
    assert json.loads(home.run("status", "--json").stdout)["pid"] == serving.process.pid
    assert home.run("start").stdout.rstrip() in serving.line
    assert home.run("stop").stdout == "Stopped.\n"
    assert serving.process.wait(5) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_serve_knows_the_shells_key_and_has_it_in_no_environment(home, serving):
    assert KEY.encode() not in environment_of(serving.process.pid)
    running = client.verified(home.places)
    assert client.ask(home.places, running, "GET", "/_sidecar/credential?gateway=vercel")["key"] is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_serve_ends_by_a_signal(home, serving, number):
    serving.process.send_signal(number)
    assert serving.process.wait(10) == 0
    assert home.run("status").returncode == 5


def test_a_second_serve_is_refused(home, serving):
    result = home.run("serve")
    assert result.returncode == 1
    assert result.stderr.startswith("sidecar: a sidecar is already running here")


def test_serve_says_what_is_wrong_with_the_configuration(home):
    configure(home, "gateway: nowhere\n")
    result = home.run("serve")
    assert result.returncode == 3
    assert result.stderr.count("config.yaml:1:") == 1


def test_an_environment_larger_than_a_pipe_is_handed_over(home):
    home.environ |= {f"LARGE_{number}": "x" * 100_000 for number in range(3)}
    serving = Serving(home)
    try:
        running = client.verified(home.places)
        assert client.ask(home.places, running, "GET", "/_sidecar/credential?gateway=vercel")["key"] is True
    finally:
        serving.process.kill()
        serving.process.communicate()


def test_a_squatter_on_the_port_of_a_dead_daemon_gets_nothing(home, squatter):
    home.agent()
    home.run("start")
    running = client.verified(home.places)
    os.kill(running["pid"], signal.SIGKILL)
    while state.held(home.places.lock_file):
        pass
    state.write(home.places.state_file, {**running, "port": squatter.port})
    result = home.run("run", "-g", "vercel", "agent")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)[1]["ANTHROPIC_BASE_URL"] != f"http://127.0.0.1:{squatter.port}"
    assert b"/_sidecar/health?nonce=" in squatter.heard
    assert KEY.encode() not in squatter.heard
    assert b"sidecar-pass" not in squatter.heard


@pytest.fixture
def endless():
    """A gateway that begins a reply and does not end it."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def answer():
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return
            held[-1].recv(65536)
            held[-1].sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\n:\n\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for connection in held:
        connection.close()


@pytest.fixture
def stream(home, endless):
    """An agent's open stream through the daemon: its first bytes are there."""
    configure(
        home, f"gateway: slow\ngateways:\n  slow: {{base_url: 'http://127.0.0.1:{endless}', credential: {{env: AI_GATEWAY_API_KEY}}}}\n"
    )
    assert home.run("start").returncode == 0
    port = client.verified(home.places)["port"]
    token = home.run("token").stdout.strip()
    body = b'{"model":"m","stream":true}'
    head = f"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-api-key: {token}\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + body)
        seen = b""
        while b":\n\n" not in seen:
            seen += connection.recv(65536)
        yield connection


def test_stop_waits_for_an_open_stream_until_ctrl_c(home, stream):
    assert json.loads(home.run("status", "--json").stdout)["streams"] == 1
    with home.popen("stop") as process:
        assert process.stdout.readline() == b"Waiting for 1 open stream.  Ctrl-C: do not wait.\n"
        assert process.poll() is None
        assert home.run("status").returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"Stopped.\n"
    assert not state.held(home.places.lock_file)


def test_stop_now_ends_one_that_another_stop_waits_for(home, stream):
    with home.popen("stop") as process:
        process.stdout.readline()
        assert home.run("stop", "--now").stdout == "Stopped.\n"
        assert process.wait(10) == 0


def test_a_stream_goes_on_while_another_daemon_takes_over(home, stream):
    assert home.run("restart").returncode == 0
    report = json.loads(home.run("status", "--json").stdout)
    assert report["streams"] == 0
    stream.settimeout(0.2)
    with pytest.raises(TimeoutError):
        stream.recv(1)


@pytest.mark.parametrize("command", ["start", "run agent"])
def test_whoever_starts_while_the_daemon_drains_gets_a_new_one(home, stream, command):
    home.script("agent", "#!/bin/sh\necho started $ANTHROPIC_BASE_URL\n")
    draining = client.verified(home.places)
    with home.popen("stop") as stopping:
        stopping.stdout.readline()
        done = home.run(*command.split())
        assert (done.returncode, done.stderr) == (0, "")
        running = client.verified(home.places)
        assert running["instance"] != draining["instance"]
        assert client.base_url(running) in done.stdout
        assert stopping.wait(10) == 0
    stream.settimeout(0.2)
    with pytest.raises(TimeoutError):  # it goes on
        stream.recv(1)


def log_of(home):
    return [json.loads(line) for line in (home.path / "logs" / "sidecar.log").read_text().splitlines()]


def test_a_daemon_in_the_background_ignores_a_hangup_and_drains_at_sigquit(home, stream):
    pid = client.verified(home.places)["pid"]
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGQUIT)
    assert client.verified(home.places) is not None  # it waits for the stream
    stream.shutdown(socket.SHUT_RDWR)
    while state.held(home.places.lock_file):
        pass
    assert [event["event"] for event in log_of(home) if event["event"] in ("signal.ignored", "sidecar.draining")] == [
        "signal.ignored",
        "sidecar.draining",
    ]


def test_serve_under_nohup_outlives_its_terminal(home):
    with subprocess.Popen(
        ["nohup", sys.executable, "-m", "sidecar", "serve"],
        env=home.environ,
        cwd=home.folder,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert home.run("status").returncode == 0
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_serve_serves_where_its_output_cannot_be_written(home):
    with open("/dev/full", "wb") as full, home.popen("serve", stdout=full, stderr=full) as process:
        while client.verified(home.places) is None:
            assert process.poll() is None
        assert home.run("stop").stdout == "Stopped.\n"
        assert process.wait(10) == 0


def test_a_home_that_does_not_exist_is_no_fault(home):
    home.environ["HOME"] = "/nonexistent"
    assert home.run("start").returncode == 0


FAILING = """
import sys
from sidecar.server import lifecycle, __main__
def {broken}(*_, **__):
    raise RuntimeError("nobody thought of this")
lifecycle.{place} = {broken}
sys.exit(__main__.main())
"""


def failing_daemon(home, place):
    """The daemon as `start` runs it, in which `place` fails."""
    code = FAILING.format(broken="broken", place=place)
    return subprocess.run(
        [sys.executable, "-c", code], input="{}", env=home.environ, cwd=home.folder, capture_output=True, text=True, check=False, timeout=20
    )


@pytest.mark.parametrize("place", ["listen", "Ledger", "check_version"])
def test_an_error_that_nobody_thought_of_is_a_message_of_the_daemon_and_a_traceback_in_its_log(home, place):
    done = failing_daemon(home, place)
    said = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert said["error"] == "the sidecar ended: unexpected RuntimeError: nobody thought of this"
    assert "sidecar logs" in said["hint"]
    last = log_of(home)[-1]
    assert last["event"] == "sidecar.failed"
    assert "Traceback" in last["exception"]
    assert not state.held(home.places.lock_file)


def test_what_is_prepared_for_the_first_request_may_fail(home):
    code = FAILING.format(broken="broken", place="Upstream.prepare")
    with subprocess.Popen(
        [sys.executable, "-c", code], env=home.environ, cwd=home.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdin.write(b"{}")
        process.stdin.close()
        assert "port" in json.loads(process.stdout.readline())
        assert home.run("status").returncode == 0
        assert home.run("stop").returncode == 0
    assert process.returncode == 0
    assert "gateway.unprepared" in {event["event"] for event in log_of(home)}
