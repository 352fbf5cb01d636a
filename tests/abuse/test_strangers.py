"""Who holds no pass, the wrong one, or another one's key: nothing gets in, and nothing gets out to where it does not belong."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import KEY, ask, client, one_gateway, running

from sidecar.credentials import stored
from sidecar.gateways.presets import presets
from sidecar.launch.passes import Pass, mint

FIELDS = (b"x-sidecar-pass: ", b"Authorization: Bearer ", b"X-Api-Key: ")


async def test_of_passes_in_all_three_fields_the_first_decides_and_none_goes_on(tmp_path):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        good, bad, foreign = sidecar.given.encode(), b"sidecar-pass-bm8.no", b"sk-ant-api03-theirs"
        for held in itertools.product((good, bad, foreign, None), repeat=3):
            deciding = next((value for value in held if value in (good, bad)), None)
            lines = [name + value for name, value in zip(FIELDS, held, strict=True) if value is not None]
            async with client(sidecar) as agent:
                agent.send(b"\r\n".join([b"GET /v1/models HTTP/1.1", b"Host: localhost", *lines]) + b"\r\n\r\n")
                assert (await agent.reply()).status == (200 if deciding == good else 401), held
        assert len(there.requests) == sum(next((v for v in held if v < 2), 2) == 0 for held in itertools.product(range(4), repeat=3))
        for each in there.requests:
            assert each.fields == [(b"Host", b"127.0.0.1:%d" % there.port), (b"x-api-key", KEY.encode())]


WRONG = {
    "of another key": lambda _: mint(b"another key of thirty-two bytes!", Pass("r", 2_000_000_000)),
    "of control": lambda sidecar: sidecar.minted(scope="control"),
    "cut at its dot": lambda sidecar: sidecar.given.partition(".")[0],
    "without its payload": lambda sidecar: "sidecar-pass-." + sidecar.given.rpartition(".")[2],
    "with two signatures": lambda sidecar: sidecar.given + "." + sidecar.given.rpartition(".")[2],
    "in other letters": lambda sidecar: sidecar.given.swapcase(),
    "twice": lambda sidecar: sidecar.given * 2,
    "of 20 kB": lambda sidecar: "sidecar-pass-" + "A" * 20_000 + "." + sidecar.given.rpartition(".")[2],
}


@pytest.mark.parametrize("held", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("field", FIELDS)
async def test_a_wrong_pass_opens_nothing_in_any_field(tmp_path, field, held):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        agent.send(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + field + held(sidecar).encode() + b"\r\n\r\n")
        assert (await agent.reply()).status in (401, 403)
        assert there.requests == []


@pytest.mark.parametrize(("first", "status"), [("bad", 401), ("good", 200)])
@pytest.mark.parametrize("field", FIELDS)
async def test_of_two_passes_in_one_field_the_first_decides(tmp_path, field, first, status):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar, client(sidecar) as agent:
        passes = {"bad": b"sidecar-pass-bm8.no", "good": sidecar.given.encode()}
        second = "good" if first == "bad" else "bad"
        lines = [b"GET /v1/models HTTP/1.1", b"Host: localhost", field + passes[first], field + passes[second]]
        agent.send(b"\r\n".join(lines) + b"\r\n\r\n")
        assert (await agent.reply()).status == status
        assert len(there.requests) == (status == 200)
        assert not any(b"sidecar-pass" in value for each in there.requests for _, value in each.fields)


USED = reply(b'{"type":"message","stop_reason":"end_turn","usage":{"input_tokens":777,"output_tokens":333}}')


async def figures(sidecar, held: str, session: bytes = b"board") -> tuple[int, dict[str, object]]:
    got = await ask(sidecar, method=b"GET", body=None, target=b"/_sidecar/usage?session=" + session, held=held)
    return got.status, json.loads(got.body)


async def test_a_pass_sees_what_its_own_run_did_in_a_session_and_nothing_else(tmp_path):
    budgets = "budgets: [{per: session, limit: $5}]\n"
    async with raw_gateway(says(USED)) as there, running(tmp_path, one_gateway(there.url) + budgets) as sidecar:
        owner, spy = sidecar.minted("owner", session="board"), sidecar.minted("spy")
        for _ in range(3):
            assert (await ask(sidecar, held=owner)).status == 200
        await sidecar.rows(3)
        status, told = await figures(sidecar, owner)
        assert (status, told["total"]["input_tokens"], len(told["budgets"])) == (200, 3 * 777, 1)
        assert (await figures(sidecar, spy))[0] == 403
        # One request under the session's name opens its own figures, and no more.
        assert (await ask(sidecar, b"x-sidecar-session: board", held=spy)).status == 200
        await sidecar.rows(4)
        status, told = await figures(sidecar, spy)
        assert (status, told["total"]["input_tokens"], told["total"]["requests"], told["budgets"]) == (200, 777, 1, [])
        assert [row["input_tokens"] for row in told["rows"]] == [777]
        control = sidecar.minted("any", scope="control")
        assert (await figures(sidecar, control))[1]["total"]["input_tokens"] == 4 * 777


@pytest.mark.parametrize(("count", "status"), [(64, 200), (65, 400), (20_000, 400)])
async def test_tags_are_limited_in_number(tmp_path, count, status):
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        got = await ask(sidecar, b"x-sidecar-tags: " + b",".join(b"t%d" % number for number in range(count)))
        assert (got.status, got.value(b"x-sidecar-error")) == (status, None if status == 200 else b"bad_header")
        assert len(there.requests) == (status == 200)


async def test_a_run_inside_another_ones_run_reaches_its_own_gateway_with_its_own_key(tmp_path):
    async with raw_gateway(says(reply())) as outer, raw_gateway(says(reply())) as inner:
        gateways = "gateways:\n" + "".join(
            f"  {name}: {{base_url: '{there.url}', credential: {{env: {name.upper()}_KEY}}}}\n"
            for name, there in (("outer", outer), ("inner", inner))
        )
        variables = {"OUTER_KEY": "key-of-outer", "INNER_KEY": "key-of-inner"}
        async with running(tmp_path, "gateway: outer\n" + gateways, variables) as sidecar:
            passes = {name: sidecar.minted(name, gateway=name).encode() for name in ("outer", "inner")}
            # Whatever it asks for in a header: its pass is pinned.
            assert (await ask(sidecar, b"x-sidecar-gateway: outer", held=passes["inner"].decode())).status == 200
            assert (await ask(sidecar, held=passes["outer"].decode())).status == 200
            # An agent that hands both on: one of them decides for all of it.
            assert (await ask(sidecar, b"x-sidecar-pass: " + passes["inner"], held=passes["outer"].decode())).status == 200
            for there, key, count in ((outer, b"key-of-outer", 1), (inner, b"key-of-inner", 2)):
                assert [each.values(b"x-api-key") for each in there.requests] == [[key]] * count
                assert not any(b"sidecar-pass" in value for each in there.requests for _, value in each.fields)
            assert [(row["run"], row["gateway"]) for row in await sidecar.rows(3)] == [
                ("inner", "inner"),
                ("outer", "outer"),
                ("inner", "inner"),
            ]


async def test_no_credential_of_any_vendor_goes_on_to_a_gateway_that_replaces_them(tmp_path):
    foreign = sorted(
        {known.auth.header for known in presets().values()} | {"x-edgee-api-key", "x-ai-gateway-api-key", "proxy-authorization"}
    )
    async with raw_gateway(says(reply())) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        lines = [name.title().encode() + b": foreign-secret" for name in foreign if name != "authorization"]
        assert (await ask(sidecar, *lines, b"authorization: Basic foreign-secret")).status == 200
        assert not any(b"foreign-secret" in value for _, value in there.requests[0].fields)
        assert there.requests[0].values(b"x-api-key") == [KEY.encode()]


async def test_a_stored_key_does_not_follow_a_base_url_that_was_pointed_elsewhere(tmp_path):
    async with raw_gateway(says(reply())) as there, raw_gateway(says(reply())) as elsewhere:
        async with running(tmp_path / "home", one_gateway(there.url).replace("    credential: {env: THERE_KEY}\n", "")) as sidecar:
            keys = Path(sidecar.places.keys)
            keys.mkdir(mode=0o700, exist_ok=True)
            (keys / "there").write_text(stored.to_text(stored.Stored("stored-key", (there.url,))))
            (keys / "there").chmod(0o600)
            assert (await ask(sidecar)).status == 200
            assert there.requests[0].values(b"x-api-key") == [b"stored-key"]
            config = sidecar.home / "config.yaml"
            config.write_text(config.read_text().replace(there.url, elsewhere.url))
            got = await ask(sidecar)
            assert (got.status, got.value(b"x-sidecar-error")) == (400, b"no_credential")
            assert b"stored-key" not in got.body
        assert elsewhere.connections == 0


OTHER_USER = """\
import json, os, socket, sys
from pathlib import Path

port, files, own = json.loads(sys.argv[1])
''.encode('idna')  # loaded now: the interpreter may lie where the other user sees nothing
os.setgroups([])
os.setgid(65534)
os.setuid(65534)

def reads(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read() or True)
    except PermissionError:
        return False

def writes(path):
    try:
        open(os.path.join(path, 'x') if os.path.isdir(path) else path, 'ab').close()
        return True
    except PermissionError:
        return False

def asks(path, *fields):
    with socket.create_connection(('127.0.0.1', port)) as sock:
        sock.sendall('\\r\\n'.join([f'GET {path} HTTP/1.1', 'Host: 127.0.0.1', 'Connection: close', *fields, '', '']).encode())
        answer = b''
        while data := sock.recv(65536):
            answer += data
    return answer.decode()

print(json.dumps({
    'open': [name for name in files if reads(name) or writes(name)],
    'answers': [asks('/v1/models'), asks('/_sidecar/status'), asks('/v1/models', 'x-sidecar-pass: ' + own)],
    'health': asks('/_sidecar/health'),
}))
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_of_the_machine_reads_nothing_and_is_not_let_in():
    home = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others in any case
    home.chmod(0o755)
    try:
        async with raw_gateway(says(reply())) as there, running(home / "sidecar", one_gateway(there.url)) as sidecar:
            assert (await ask(sidecar)).status == 200
            await sidecar.rows()
            files = [str(path) for path in (home / "sidecar", *(home / "sidecar").rglob("*"))]
            assert {"pass.key", "ledger.db", "daemon.json", "config.yaml"} <= {Path(name).name for name in files}
            own = mint(b"the other user's own key, 32 byt", Pass("r", 2_000_000_000))
            given = json.dumps([sidecar.port, files, own])
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER_USER, given, stdout=subprocess.PIPE)
            said = json.loads((await process.communicate())[0])
            assert said["open"] == []
            assert all(answer.startswith("HTTP/1.1 401 ") for answer in said["answers"])
            assert sidecar.given not in str(said)
            assert '"name": "sidecar"' in said["health"]
            assert len(there.requests) == 1
    finally:
        shutil.rmtree(home)
