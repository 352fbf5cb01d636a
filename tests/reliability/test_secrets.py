"""The secrets hunt: every error there is is provoked in a real daemon at debug level, then everything it left behind is searched."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import os
import re
import secrets
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import structlog
from fakes.process import daemon, until
from fakes.raw import raw_gateway, reply
from fakes.running import ask, client, one_gateway, request, running

from sidecar.errors import ANSWERS
from sidecar.observe import logs
from sidecar.proxy import upstream

#: Any pass, whoever made it; what the log has of one is its beginning and a mark.
PASS = re.compile(rb"sidecar-pass-[\w.-]{8}")
#: In a key of every kind there is something to escape in URLs, JSON, Python and base64.
AWKWARD = 'k/+"%=\\'

#: Not to be had from outside: a peer that is not loopback, a defect of ours (provoked in a test of its own below).
UNREACHABLE_CODES = {"forbidden_peer", "internal", "busy"}


def make(name: str) -> str:
    return f"{name}{AWKWARD}{secrets.token_hex(8)}"


def forms(secret: str) -> set[bytes]:
    """The ways in which a secret may stand in a file."""
    encoded = {base64.b64encode(text.encode()).rstrip(b"=") for text in (secret, f"Bearer {secret}", f"user:{secret}")}
    texts = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1], secret[-16:]}
    return encoded | {text.encode() for text in texts}


def holding(places: dict[str, bytes], needles: set[bytes]) -> list[str]:
    return [name for name, content in places.items() if any(needle in content for needle in needles)]


def with_a_pass(places: dict[str, bytes]) -> list[str]:
    return [name for name, content in places.items() if PASS.search(content)]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def processes() -> dict[str, bytes]:
    """Arguments and environments of all processes there are."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for what in ("environ", "cmdline"):
            with contextlib.suppress(OSError):
                found[f"/proc/{pid}/{what}"] = Path("/proc", pid, what).read_bytes()
    return found


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CUTS = {
    b"close": (),
    b"garbage": (b"SMTP ready\r\n\r\n",),
    b"silence": (b"", None),
    b"stall": (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"3\r\n:\n\n\r\n", None),
}


def quoting(key: bytes) -> dict[bytes, tuple[bytes, ...]]:
    """Error replies with the key in every place where a gateway could put it."""
    plain = b'{"detail":"invalid key: ' + key + b'"}'
    word = key.decode()
    envelope = json.dumps({"type": "error", "error": {"type": word, "code": word, "message": f"bad key {word}"}}).encode()
    half = plain.index(key) + len(key) // 2
    head = b"HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\n" + CHUNKED
    return {
        b"in two chunks": (head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in (plain[:half], plain[half:])), b"0\r\n\r\n"),
        b"compressed": (reply(gzip.compress(plain, mtime=0), b"Content-Encoding: gzip", status=b"500 Broken"),),
        b"in a field": (reply(b"{}", b"x-request-id: " + key, status=b"403 Forbidden"),),
        b"as the error's type": (reply(plain[:-1] + b"," + envelope[1:], status=b"401 Unauthorized"),),
    }


MESSAGE = b'{"type":"message","model":"m","stop_reason":"end_turn","usage":{"input_tokens":50,"output_tokens":5}}'


async def script(talk):
    """Answers as the request's `x-want` says."""
    while incoming := await talk.request():
        want = next(iter(incoming.values(b"x-want")), b"")
        for piece in CUTS.get(want) or quoting(incoming.values(b"x-api-key")[0]).get(want, () if want in CUTS else (reply(MESSAGE),)):
            if piece is None:
                await asyncio.Event().wait()
            await talk.send(piece)
            await asyncio.sleep(0.01)  # a segment of its own
        if want in CUTS:
            talk.fin()


CONFIG = """
log: {{level: debug}}
timeouts: {{connect: 500ms, first_byte: 500ms, drain: 10s}}
limits: {{body: 1KiB}}
budgets: [{{per: session, limit: 10 tokens, tag: spent}}]
gateway: there
gateways:
  there: {{base_url: "{url}", credential: {{env: HUNT_KEY}}, headers: {{x-second-key: {{credential: {{file: "{file}"}}}}}}}}
  login: {{base_url: "{url}"}}
  printed: {{base_url: "{url}", credential: {{command: [sh, "{user}/printed.sh"]}}}}
  loud: {{base_url: "{url}", credential: {{command: [sh, "{user}/loud.sh"]}}}}
  none: {{base_url: "{url}", credential: {{env: HUNT_NOTHING}}}}
  few: {{base_url: "{url}", credential: {{env: HUNT_KEY}}, only: [/v1/models]}}
  refused: {{base_url: "http://127.0.0.1:{refused}", credential: {{env: HUNT_KEY}}}}
  hangs: {{base_url: "http://127.0.0.1:{hangs}", credential: {{env: HUNT_KEY}}}}
"""


@contextlib.contextmanager
def bad_ports():
    """One that nobody listens on, and one whose queue is full, so that a connection is never made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as unused, contextlib.ExitStack() as waiting:
        unused.bind(("127.0.0.1", 0))
        for _ in range(3):
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        yield unused.getsockname()[1], full.getsockname()[1]


async def provoked(it) -> dict[str, tuple[int, bytes, bytes]]:
    """Every code of the sidecar's own that can be had -> status, fields and body of the answer."""
    long = b"s" * 300
    login = b"Authorization: Bearer sk-ant-oat01-0123456789abcdef"

    def to(gateway: str) -> bytes:
        return b"x-sidecar-gateway: " + gateway.encode()

    def raw(target: bytes, *fields: bytes) -> bytes:
        return b"\r\n".join([b"POST " + target + b" HTTP/1.1", *fields, b"content-length: 2", b"", b"{}"])

    while (await ask(it, b"x-sidecar-tags: spent")).status == 200:
        pass  # a request counts once it has ended
    asked = [
        request(it, b"x-sidecar-tags: spent"),
        request(it, held=it.given[:-4] + "AAAA"),
        request(it).replace(b"Host: 127.0.0.1", b"Host: evil.example"),
        request(it, b"Origin: https://evil.example"),
        request(it, held=it.minted(scope="control")),
        request(it, to("none")),
        request(it, to("loud")),
        raw(b"/v1/messages", b"Host: localhost", login, b"x-sidecar-pass: " + it.given.encode()),
        request(it, to("nowhere")),
        request(it, b"x-sidecar-session: " + long),
        request(it, target=b"http://127.0.0.1/v1/messages?key=" + it.given.encode()),
        request(it, to("few")),
        request(it, target=b"/_sidecar/nothing"),
        request(it, body=b"x" * 2000),
        request(it, to("refused")),
        request(it, b"x-want: close"),
        request(it, b"x-want: garbage"),
        request(it, to("hangs")),
        request(it, b"x-want: silence"),
        request(it, b"Upgrade: websocket", b"Connection: upgrade"),
    ]
    found = {}
    for data in asked:
        async with client(it) as agent:
            agent.send(data)
            got = await agent.reply()
            code = got.value(b"x-sidecar-error")
            assert code is not None, (data, got)
            found[code.decode()] = got.status, repr(got.fields).encode(), got.body
    return found


async def refused_while_draining(it) -> tuple[int, bytes, bytes]:
    """Ends the daemon."""
    async with client(it) as stream, client(it) as late:
        stream.send(request(it, b"x-want: stall"))
        await stream.reader.readuntil(b":\n\n")
        late.send(request(it, method=b"HEAD", target=b"/", body=None))
        await late.reply(is_head=True)
        it.process.terminate()
        await until(lambda: any(line["event"] == "sidecar.draining" for line in it.log()))
        late.send(request(it))
        got = await late.reply()
        it.process.terminate()
        await until(lambda: it.process.poll() is not None)
        return got.status, repr(got.fields).encode(), got.body


def prepared(it, keys: dict[str, str], **places) -> None:
    """A configuration that takes a key from every kind of source."""
    file = it.user / "second.key"
    file.write_text(keys["file"])
    file.chmod(0o600)
    for name, ending in {"printed": f"printf '%s\\n' {shlex.quote(keys['printed'])}", "loud": "exit 3"}.items():
        (it.user / f"{name}.sh").write_text(f"printf '%s\\n' {shlex.quote(keys[name])} >&2\n{ending}\n")
    it.configure(CONFIG.format(file=file, user=it.user, **places))


def agents_processes(it) -> tuple[dict[str, bytes], str, bytes]:
    """Every process there is while an agent runs, the name of the agent's own environment, and what `run` said."""
    agent = it.user / "agent.py"
    agent.write_text("import sys, time\nprint('started', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "sidecar", "run", "-g", "there", "--", sys.executable, str(agent)]
    with subprocess.Popen(command, env=it.environ, cwd=it.user, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running_agent:
        assert running_agent.stdout.readline() == b"started\n"
        seen = processes()
        running_agent.kill()
        return seen, f"/proc/{running_agent.pid}/environ", running_agent.stderr.read()


COMMANDS = ("status --json", "config show", "config check", "gateways", "usage --by request --json", "logs")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_no_secret_is_anywhere_after_every_error(tmp_path):
    keys = {name: make(name) for name in ("variable", "login", "file", "printed", "loud")}
    keys["literal"] = f"vck_{secrets.token_hex(16)}"  # refused for looking like a key
    with daemon(tmp_path, variables={"HUNT_KEY": keys["variable"]}) as it, bad_ports() as (refused, hangs):
        async with raw_gateway(script) as gateway:
            prepared(it, keys, url=gateway.url, refused=refused, hangs=hangs)
            said = {"login": it.sidecar("login", "login", "--file", "--stdin", input=keys["login"] + "\n")}
            await it.started()
            found = await provoked(it)
            quoted = {want: await ask(it, b"x-want: " + want) for want in quoting(b"key")}
            for name in (b"login", b"printed"):
                assert (await ask(it, b"x-sidecar-gateway: " + name)).status == 200
            it.configure(
                f"log: {{level: debug}}\ngateways: {{there: {{base_url: '{gateway.url}', headers: {{x-key: {keys['literal']}}}}}}}"
            )
            assert (await ask(it)).status == 200  # by the last good configuration
            seen, agents_own, agents_errors = agents_processes(it)
            said |= {line: it.sidecar(*line.split()) for line in COMMANDS}
            found["draining"] = await refused_while_draining(it)

        assert {code: status for code, (status, _, _) in found.items()} == {
            code: ANSWERS[code][0] for code in ANSWERS.keys() - UNREACHABLE_CODES
        }
        # Promise 1: what the gateway says is handed on, key and all; promise 2: that it was is said, and no more.
        expected = quoting(keys["variable"].encode())
        assert all(got.body and expected[want][-1].endswith(got.body) for want, got in quoted.items() if want != b"in two chunks")
        assert keys["variable"].encode() in quoted[b"in two chunks"].body
        assert [line["status"] for line in it.log() if line["event"] == "reply.echoes_secret"] == [got.status for got in quoted.values()]

        written = {name: content for name, content in files_below(it.home).items() if not name.startswith(it.places.keys)}
        del written[it.places.config_file]  # where the literal was put by hand
        assert {it.places.ledger, it.places.state_file, f"{it.places.logs}/sidecar.log"} <= written.keys()
        written |= {f"{code} {number}": part for code, parts in found.items() for number, part in enumerate(parts[1:])}
        written |= {f"sidecar {line}": (each.stdout + each.stderr).encode() for line, each in said.items()}
        written |= {"stderr": (it.user / "stderr").read_bytes(), "sidecar run": agents_errors}
        for name, key in keys.items():
            assert holding(written | seen, forms(key)) == [], name
        assert with_a_pass(written) == []
        ours = {name: content for name, content in seen.items() if str(it.home).encode() in content}
        assert f"/proc/{it.process.pid}/environ" in ours
        assert with_a_pass(ours) == [agents_own]


async def test_an_exception_that_carries_the_headers_reaches_neither_log_nor_agent(tmp_path, monkeypatch):
    key = make("carried")

    def broken(_place, _method, _target, fields, **_):
        held = dict(fields)[b"x-api-key"]
        texts = (held.decode(), quote(held, safe=""), base64.b64encode(b"user:" + held).decode(), str(fields))
        structlog.get_logger().debug("about to fail", headers=dict(fields), url=f"http://x/?k={quote(held)}")
        raise RuntimeError(" ".join(texts))

    monkeypatch.setattr(upstream, "_head", broken)
    async with (
        raw_gateway(script) as gateway,
        running(tmp_path / "home", one_gateway(gateway.url), {"THERE_KEY": key}) as sidecar,
    ):
        logs.configure("debug", str(tmp_path / "logs"), sidecar.life._vault.in_use, False)
        try:
            got = await ask(sidecar)
        finally:
            logs.close()
    assert (got.status, got.value(b"x-sidecar-error")) == (500, b"internal")
    assert b"RuntimeError" not in got.body
    log = (tmp_path / "logs" / "sidecar.log").read_bytes()
    assert b"RuntimeError" in log
    assert b"about to fail" in log
    assert holding({"log": log, "reply": got.body}, forms(key)) == []
    assert with_a_pass({"log": log, "reply": got.body}) == []


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_what_is_written_is_private_whatever_the_umask(tmp_path, umask):
    async with raw_gateway(script) as gateway:
        with daemon(tmp_path, one_gateway(gateway.url)) as it:
            loose = [it.home / "logs", it.home / "keys"]
            for folder in loose:
                folder.mkdir()
                folder.chmod(0o755)
            (it.home / "logs" / "daemon.stderr").touch()
            (it.home / "ledger.db").touch()
            for file in ("logs/daemon.stderr", "ledger.db"):
                (it.home / file).chmod(0o644)
            assert it.sidecar("login", "openrouter", "--file", "--stdin", input="a-key-0123\n", umask=umask).returncode == 0
            assert it.sidecar("start", umask=umask).returncode == 0
            it.port = it.status()["port"]
            it.given = it.minted()
            assert (await ask(it)).status == 200
            await until(lambda: any(row["finished_at"] for row in it.rows()))
            modes = {path.relative_to(it.home).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in it.home.rglob("*")}
            assert it.sidecar("stop", "--now").returncode == 0
    folders = {name for name in modes if (it.home / name).is_dir()}
    assert {"ledger.db", "ledger.db-wal", "pass.key", "daemon.json", "keys/openrouter", "logs/sidecar.log"} <= modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode != (0o700 if name in folders else 0o600)} == {}
