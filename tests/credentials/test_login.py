"""`sidecar login` and `logout`: in this process with a keyring of ours, and as a command where the terminal and exit codes matter."""

from __future__ import annotations

import argparse
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fakes.keyrings import Locked, Memory
from keyring.backends import null

from sidecar.cli.setup import login as command
from sidecar.config.load import load
from sidecar.credentials import stored, system_keyring
from sidecar.credentials.stored import Stored
from sidecar.errors import ConfigError, CredentialFailed, UsageError
from sidecar.launch import places

KEY = "vck_0123456789"
VERCEL = "https://ai-gateway.vercel.sh:443"
CONFIG = """
gateways:
  corp: {base_url: "https://llm.corp.example", headers: {x-second-key: {credential: {keyring: other}}}}
  copy: {base_url: "https://copy.example:8443", credential: {keyring: vercel}}
  ring: {base_url: "https://ring.example", credential: keyring}
  variable: {base_url: "https://v.example", credential: {env: V_KEY}}
"""


class Desk:
    def __init__(self, home, monkeypatch):
        self.places = places.find({"SIDECAR_HOME": str(home)})
        self._monkeypatch = monkeypatch

    def configure(self, text):
        places.write_private(self.places.config_file, text.encode())

    def login(self, gateway, given=f"{KEY}\n", *, file=False, stdin=True, base_url=None, check=None):
        data = given if isinstance(given, bytes) else given.encode()
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return command.login(
            argparse.Namespace(gateway=gateway, file=file, stdin=stdin, base_url=base_url, check=check, places=self.places)
        )

    def logout(self, gateway):
        return command.logout(argparse.Namespace(gateway=gateway, places=self.places))

    def in_keyring(self, name):
        return system_keyring.read(name, self.places.home)

    def in_file(self, name):
        found = stored.read_file(self.places.keys, name)
        return found[0] if found else None


@pytest.fixture
def desk(tmp_path, monkeypatch, use_keyring):
    use_keyring(Memory())
    return Desk(tmp_path / "home", monkeypatch)


def test_a_key_goes_into_the_keyring_bound_to_its_gateways_origin(desk, capsys):
    assert desk.login("vercel", f"  {KEY} \r\nnot this\n") == 0
    assert desk.in_keyring("vercel") == Stored(KEY, (VERCEL,))
    assert desk.in_file("vercel") is None
    said = capsys.readouterr()
    assert "sidecar run -g vercel -- claude" in said.out
    assert VERCEL in said.out
    assert KEY not in said.out + said.err


def test_with_file_it_goes_into_a_file_and_that_is_explained(desk, capsys):
    assert desk.login("vercel", file=True) == 0
    assert desk.in_file("vercel") == Stored(KEY, (VERCEL,))
    assert desk.in_keyring("vercel") is None
    said = capsys.readouterr().out
    assert "in clear" in said
    assert KEY not in said


def test_a_key_is_in_one_place_only_the_one_of_the_last_login(desk):
    desk.login("vercel", file=True)
    desk.login("vercel", "second-key\n")
    assert (desk.in_file("vercel"), desk.in_keyring("vercel")) == (None, Stored("second-key", (VERCEL,)))
    desk.login("vercel", "third-key\n", file=True)
    assert (desk.in_file("vercel"), desk.in_keyring("vercel")) == (Stored("third-key", (VERCEL,)), None)


def test_a_key_is_bound_to_every_origin_whose_gateway_takes_it(desk):
    desk.configure(CONFIG)
    desk.login("vercel")
    assert desk.in_keyring("vercel") == Stored(KEY, (VERCEL, "https://copy.example:8443"))


@pytest.mark.parametrize(("name", "entry"), [("copy", "vercel"), ("other", "other"), ("ring", "ring"), ("corp", "corp")])
def test_the_entry_is_the_one_that_the_configuration_names(desk, name, entry):
    desk.configure(CONFIG)
    desk.login(name)
    assert desk.in_keyring(entry).key == KEY
    desk.logout(name)
    assert desk.in_keyring(entry) is None


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("nonesuch", False, "there is no gateway 'nonesuch'"),
        ("variable", False, "does not take its key from the keyring"),
        ("ring", True, "from the keyring alone"),
    ],
)
def test_where_no_gateway_would_look_nothing_is_stored(desk, name, file, words):
    desk.configure(CONFIG)
    with pytest.raises(UsageError, match=words):
        desk.login(name, file=file)


def test_with_a_broken_configuration_nothing_is_stored(desk):
    desk.configure("gateways: [")
    with pytest.raises(ConfigError):
        desk.login("vercel")


@pytest.mark.parametrize(
    "given", ["", "\n", "  \n", "sec\x1b[0mret\n", "sec\0ret\n", "sécret\n", b"sec\xffret\n", "sidecar-pass-secret\n"], ids=repr
)
@pytest.mark.parametrize("file", [False, True])
def test_what_cannot_be_a_key_is_refused_without_being_shown(desk, given, file):
    with pytest.raises(CredentialFailed) as refused:
        desk.login("vercel", given, file=file)
    assert "cret" not in str(refused.value)
    assert (desk.in_file("vercel"), desk.in_keyring("vercel")) == (None, None)


@pytest.mark.parametrize(
    ("gateway", "key", "warned"),
    [
        ("anthropic", KEY, True),
        ("vercel", "sk-ant-api03-x", True),
        ("vercel", KEY, False),
        ("vercel", "unheard-of", False),
        ("edgee", KEY, False),
    ],
)
def test_a_key_that_is_certainly_another_gateways_is_warned_of(desk, capsys, gateway, key, warned):
    desk.login(gateway, f"{key}\n")
    assert ("looks like a key of" in capsys.readouterr().err) is warned


def test_an_unsafe_keyring_is_refused_before_the_key_is_read_and_the_file_is_offered(desk, use_keyring):
    use_keyring(null.Keyring())
    with pytest.raises(CredentialFailed) as refused:
        desk.login("vercel", "")
    assert "keyring.backends.null.Keyring" in refused.value.message
    assert "sidecar login vercel --file" in refused.value.hint
    desk.login("vercel", file=True)
    assert desk.in_file("vercel") == Stored(KEY, (VERCEL,))


def test_a_locked_keyring_is_named_and_with_file_only_warned_of(desk, use_keyring, capsys):
    use_keyring(Locked())
    with pytest.raises(CredentialFailed, match="locked"):
        desk.login("vercel")
    assert desk.login("vercel", file=True) == 0
    assert "would win over the file" in capsys.readouterr().err


def test_a_keyring_that_does_not_keep_what_it_is_given_is_noticed(desk, use_keyring):
    class Forgetful(Memory):
        viable = False

        def set_password(self, service, username, password):
            pass

    use_keyring(Forgetful())
    with pytest.raises(CredentialFailed, match="did not give back"):
        desk.login("vercel")


def test_logout_removes_the_key_from_both_places_and_can_be_repeated(desk, capsys):
    stored.write_file(desk.places.keys, "vercel", Stored(KEY, (VERCEL,)))
    system_keyring.write("vercel", Stored(KEY, (VERCEL,)), desk.places.home)
    assert desk.logout("vercel") == 0
    assert (desk.in_file("vercel"), desk.in_keyring("vercel")) == (None, None)
    assert desk.logout("vercel") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Removed the key of vercel from the key file and the keyring.",
        "There was no stored key of vercel.",
    ]


def test_logout_works_for_a_gateway_that_is_no_longer_configured_and_without_a_keyring(desk, use_keyring):
    stored.write_file(desk.places.keys, "former", Stored(KEY, (VERCEL,)))
    use_keyring(null.Keyring())
    assert desk.logout("former") == 0
    assert desk.in_file("former") is None


@pytest.mark.parametrize(("backend", "what"), [(Locked, "is locked"), (null.Keyring, "is switched off")])
def test_logout_does_not_say_that_there_is_no_key_where_it_could_not_look(desk, use_keyring, capsys, backend, what):
    use_keyring(backend())
    with pytest.raises(CredentialFailed, match=f"there is no key file of vercel; whether the keyring holds .* could not be seen: .*{what}"):
        desk.logout("vercel")
    assert capsys.readouterr().out == ""


def test_two_homes_have_a_key_each_and_find_the_one_of_an_earlier_version(desk, tmp_path):
    system_keyring._backend().set_password("sidecar", "vercel", json.dumps({"key": "old-key", "origins": [VERCEL]}))
    assert desk.in_keyring("vercel").key == system_keyring.read("vercel").key == "old-key"
    desk.login("vercel")
    assert (desk.in_keyring("vercel").key, system_keyring.read("vercel").key) == (KEY, "old-key")
    system_keyring.write("vercel", Stored("own-key", (VERCEL,)))
    assert (desk.in_keyring("vercel").key, system_keyring.read("vercel").key) == (KEY, "own-key")
    desk.logout("vercel")
    assert desk.in_keyring("vercel") is None, "the key of the user's own home is nobody else's"
    assert system_keyring.read("vercel").key == "own-key"


@pytest.mark.parametrize("key", ["vck_012 345", "vck_012\t345", "a b"])
def test_a_key_with_white_space_inside_is_refused(desk, key):
    with pytest.raises(CredentialFailed):
        desk.login("vercel", f"{key}\n")
    assert desk.in_keyring("vercel") is None


@pytest.fixture
def answering():
    """Call it with a status to have a gateway that answers every request so, and the requests that it got."""
    servers = []

    def start(status):
        got = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                got.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_GET  # noqa: N815 - the name that the server looks for

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", got

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_gateway_without_an_address_gets_one_and_the_layout_is_kept(desk, capsys):
    desk.configure("# mine\ngateways:\n  vercel: {}   # paid by them\n")
    assert desk.login("litellm", base_url="https://llm.example:4000/") == 0
    assert Path(desk.places.config_file).read_text() == (
        "# mine\ngateways:\n  litellm:\n    base_url: https://llm.example:4000\n  vercel: {}   # paid by them\n"
    )
    assert desk.in_keyring("litellm") == Stored(KEY, ("https://llm.example:4000",))
    assert desk.login("litellm", base_url="https://llm.example:4000") == 0, "the same again"
    with pytest.raises(UsageError, match=r"has litellm at https://llm\.example:4000 already"):
        desk.login("litellm", base_url="https://other.example")
    assert KEY not in capsys.readouterr().out


def test_a_vendors_other_address_replaces_the_presets(desk):
    desk.login("zai", base_url="https://open.bigmodel.cn/api/anthropic")
    assert desk.in_keyring("zai").origins == ("https://open.bigmodel.cn:443",)
    assert load(desk.places).gateways["zai"].base_url == "https://open.bigmodel.cn/api/anthropic"


@pytest.mark.parametrize(
    ("gateway", "url", "words"),
    [
        ("litellm", "llm.example", "must be a URL that begins with https://"),
        ("litellm", "http://llm.example", "would send the key in clear"),
        ("litellm", "https://u:p@llm.example", "no user or password"),
        ("corp", "https://llm.example", "there is no preset 'corp'"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_and_nothing_is_written(desk, gateway, url, words):
    with pytest.raises(UsageError, match=words):
        desk.login(gateway, base_url=url)
    assert not Path(desk.places.config_file).exists()
    assert desk.in_keyring(gateway) is None


@pytest.mark.parametrize("given", ["", "sidecar-pass-x\n"])
def test_without_a_key_no_address_is_written_either(desk, given):
    with pytest.raises(CredentialFailed):
        desk.login("litellm", given, base_url="https://llm.example")
    assert not Path(desk.places.config_file).exists()


def test_a_gateway_that_needs_an_address_says_how_to_give_one(desk):
    with pytest.raises(UsageError) as refused:
        desk.login("litellm")
    assert refused.value.message == "litellm has no default address"
    assert "sidecar login litellm --base-url https://" in refused.value.hint


def test_without_a_gateway_it_lists_them(desk, capsys):
    assert desk.login(None) == 2
    said = capsys.readouterr()
    assert "vercel" in said.out
    assert "sidecar login GATEWAY" in said.err
    assert "sidecar login litellm --base-url https://" in said.err


def test_a_key_that_the_gateway_takes_is_stored(desk, answering, capsys):
    url, got = answering(200)
    assert desk.login("litellm", base_url=url, check=True) == 0
    assert desk.in_keyring("litellm").key == KEY
    assert "litellm takes the key." in capsys.readouterr().out
    ((method, path, fields, body),) = got
    assert (method, path, body) == ("GET", "/v1/models", b"")
    assert fields["authorization"] == f"Bearer {KEY}"


def test_a_key_that_the_gateway_refuses_is_not_stored_unless_told_so(desk, answering):
    url, got = answering(401)
    with pytest.raises(CredentialFailed, match=r"litellm refused the key \(401\)") as refused:
        desk.login("litellm", base_url=url, check=True)
    assert refused.value.hint.endswith(f"sidecar login litellm --base-url {url} --no-check"), "nothing has been written"
    assert KEY not in str(refused.value)
    assert desk.in_keyring("litellm") is None
    assert desk.login("litellm", base_url=url, check=False) == 0
    assert (len(got), desk.in_keyring("litellm").key) == (1, KEY)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_answer_that_does_not_tell_is_said_and_the_key_is_stored(desk, answering, capsys, status):
    url, _ = answering(status)
    assert desk.login("litellm", base_url=url, check=True) == 0
    assert f"litellm answered {status}, which does not tell" in capsys.readouterr().err
    assert desk.in_keyring("litellm").key == KEY


def test_a_gateway_that_is_not_reached_is_said_and_the_key_is_stored(desk, answering, capsys):
    url, _ = answering(200)
    free = url.rpartition(":")[0]
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        assert desk.login("litellm", base_url=f"{free}:{held.getsockname()[1]}", check=True) == 0
    assert "the key could not be checked: gateway 'litellm'" in capsys.readouterr().err
    assert desk.in_keyring("litellm").key == KEY


def test_elsewhere_a_key_is_checked_by_counting_tokens_with_all_that_the_gateway_wants(desk, answering):
    url, got = answering(200)
    desk.configure(
        f"gateways:\n  corp: {{base_url: '{url}/x', headers: {{x-team: core, x-session: '{{session}}', x-second: {{credential: {{keyring: other}}}}}},"
        " models: {claude-*: house}, paths: {/v1/messages/count_tokens: /count}}\n"
    )
    system_keyring.write("other", Stored("second-key", (url,)), desk.places.home)
    desk.login("corp", check=True)
    ((method, path, fields, body),) = got
    assert (method, path) == ("POST", "/x/count")
    assert (fields["x-api-key"], fields["x-second"], fields["x-team"]) == (KEY, "second-key", "core")
    assert "x-session" not in fields
    assert json.loads(body)["model"] == "house"


def test_a_key_beside_the_clients_login_cannot_be_checked_alone(desk, capsys):
    desk.configure("gateways: {edgee: {beside: true}}\n")
    desk.login("edgee", check=True)
    assert "cannot be checked" in capsys.readouterr().err


@pytest.fixture
def daemon(desk):
    fake = Path(__file__).parent.parent / "fakes" / "daemon.py"
    with subprocess.Popen([sys.executable, fake, desk.places.state_dir], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield
        process.kill()


def test_a_running_daemon_is_told_to_forget(desk, daemon):
    desk.login("vercel")
    desk.logout("vercel")
    asked = Path(desk.places.state_dir, "asked.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in asked if "forget" in line]
    assert told == [["POST", "/_sidecar/forget", {"gateway": None}]] * 2


def environment(desk):
    return {**os.environ, "SIDECAR_HOME": desk.places.state_dir, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


@pytest.mark.parametrize(
    ("arguments", "given", "code"),
    [
        (("vercel", "--file", "--stdin"), KEY, 0),
        (("vercel", "--file"), KEY, 2),
        (("vercel", KEY), "", 2),
        (("nonesuch", "--stdin"), KEY, 2),
        (("vercel", "--stdin"), KEY, 4),
        (("vercel", "--file", "--stdin"), "", 4),
    ],
    ids=["stored", "no terminal", "key as an argument", "no such gateway", "no keyring", "nothing given"],
)
def test_the_exit_code_says_what_was_wrong(desk, arguments, given, code):
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "login", *arguments],
        input=given,
        env=environment(desk),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == code
    if KEY not in arguments:
        assert KEY not in done.stdout + done.stderr


def on_a_terminal(desk, *arguments, answers):
    """The exit code, and all that was shown.  `answers` are (what to wait for, what to type)."""
    import pty  # noqa: PLC0415 - not on Windows

    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "sidecar", "login", *arguments], environment(desk))
    shown = b""
    with open(terminal, "r+b", buffering=0) as screen:
        for prompt, answer in answers:
            while prompt not in shown:
                shown += screen.read(1024)
            screen.write(answer)
        try:
            while more := screen.read(1024):
                shown += more
        except OSError:  # how Linux says that the other end has gone
            pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_on_a_terminal_the_key_is_asked_for_and_not_shown(desk):
    answers = [(b"(not shown): ", f"{KEY}\n".encode()), (b"[Y/n] ", b"n\n")]
    code, shown = on_a_terminal(desk, "vercel", "--file", answers=answers)
    assert code == 0
    assert KEY.encode() not in shown
    assert desk.in_file("vercel") == Stored(KEY, (VERCEL,))


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_on_a_terminal_it_offers_to_check_the_key(desk, answering):
    url, got = answering(401)
    answers = [(b"(not shown): ", f"{KEY}\n".encode()), (b"[Y/n] ", b"\n")]
    code, shown = on_a_terminal(desk, "litellm", "--base-url", url, "--file", answers=answers)
    assert (code, len(got), desk.in_file("litellm")) == (4, 1, None)
    assert b"litellm refused the key (401)" in shown


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize("at", [1, 2], ids=["at the key", "at the offer"])
def test_an_interrupted_prompt_ends_its_line_and_stores_nothing(desk, at):
    answers = [(b"(not shown): ", f"{KEY}\n".encode()), (b"[Y/n] ", b"n\n")][:at]
    answers[-1] = (answers[-1][0], b"\x03")
    code, shown = on_a_terminal(desk, "vercel", "--file", answers=answers)
    assert code == 130
    assert shown.endswith(b"\n")
    assert desk.in_file("vercel") is None
