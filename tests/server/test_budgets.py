"""Budgets, seen from agents: who is refused, how, and from when on, over restarts, reloads and many sessions at once."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, client, one_gateway, request, running

from sidecar.launch import client as daemon_client
from sidecar.launch import daemon_state
from sidecar.observe import logs

CLAUDE_CODE = b"User-Agent: claude-cli/2.1.197 (external, sdk-cli)"
CODEX = b"User-Agent: codex_exec/0.169.0 (Linux)"
PATIENCE_SECONDS = 10


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    """A zone in which it is about noon: no day ends while a test runs."""
    monkeypatch.setenv("TZ", f"NOON{datetime.now(UTC).hour - 12:+d}")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def message(tokens: int = 100, model: str = "claude-sonnet-4-5", **more: int) -> bytes:
    """A whole reply; `tokens` of output at $15 for a million."""
    usage = {"input_tokens": 0, "output_tokens": tokens, **more}
    return json.dumps({"type": "message", "model": model, "stop_reason": "end_turn", "usage": usage}).encode()


def budgets(*lines: str, more: str = "") -> str:
    return "budgets:\n" + "".join(f"  - {{{line}}}\n" for line in lines) + more


def anthropic(url: str, more: str) -> str:
    """A gateway whose prices are known."""
    return f"gateway: there\ngateways:\n  there: {{preset: anthropic, base_url: {url}, credential: {{env: THERE_KEY}}}}\n{more}"


async def status(sidecar) -> dict[str, object]:
    state = daemon_state.read(sidecar.places.state_file)
    return await asyncio.to_thread(daemon_client.ask, sidecar.places, state, "GET", "/_sidecar/status")


async def counted(sidecar, claim, which: int = 0) -> dict[str, object]:
    """The budget as `status` tells it, once `claim` holds: rows are counted a moment after their reply."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not claim(told := (await status(sidecar))["budgets"][which]):  # noqa: ASYNC110  the ledger's thread tells nobody
            await asyncio.sleep(0.01)
    return told


async def is_spent(sidecar, which: int = 0) -> dict[str, object]:
    return await counted(sidecar, lambda told: told["state"] == "spent", which)


def said(got) -> str:
    return json.loads(got.body)["error"]["message"]


async def test_a_spent_budget_ends_the_next_request_at_once_and_says_how_to_go_on(tmp_path):
    async with (
        raw_gateway(says(reply(message(1000)))) as there,
        running(tmp_path, one_gateway(there.url, budgets("per: day, limit: 1k tokens"))) as sidecar,
    ):
        assert (await ask(sidecar)).status == 200
        await is_spent(sidecar)
        midnight = datetime.now().astimezone().date() + timedelta(days=1)
        for agent, expected in ((CLAUDE_CODE, 429), (CODEX, 400), (b"X-Nothing: here", 400)):
            got = await ask(sidecar, agent)
            assert got.status == expected
            assert got.value(b"x-sidecar-error") == b"over_budget"
            assert got.value(b"x-should-retry") == b"false"
            assert got.value(b"retry-after") is None
            assert json.loads(got.body)["error"]["type"] == "billing_error"
            assert said(got) == (
                f"sidecar: the budget of 1k tokens per day is spent: 1k tokens so far; it begins anew at {midnight} 00:00;"
                f" to go on now, raise it under `budgets:` in {tmp_path}/config.yaml"
            )
        assert len(there.requests) == 1
        assert len(await sidecar.rows()) == 1


async def test_a_request_right_behind_a_reply_is_judged_by_it(tmp_path):
    async with (
        raw_gateway(says(reply(message(1000)))) as there,
        running(tmp_path, one_gateway(there.url, budgets("per: session, limit: 1k tokens"))) as sidecar,
        client(sidecar) as agent,
    ):
        for number in range(30):
            session = b"x-sidecar-session: s%d" % number
            statuses = []
            for _ in "ab":
                agent.send(request(sidecar, session))
                statuses.append((await agent.reply()).status)
            assert statuses == [200, 400], number


async def test_a_ledger_that_cannot_be_written_is_told_and_what_was_relayed_counts(tmp_path):
    (tmp_path / "ledger.db").mkdir()
    async with (
        raw_gateway(says(reply(message(1000)))) as there,
        running(tmp_path, one_gateway(there.url, budgets("per: day, limit: 1k tokens"))) as sidecar,
    ):
        error = f"{sidecar.places.ledger} cannot be written: Is a directory; rows waiting in memory: 0"
        assert daemon_state.read(sidecar.places.state_file)["ledger"] == {"error": error}
        assert (await ask(sidecar)).status == 200
        await is_spent(sidecar)
        assert (await ask(sidecar)).status == 400
        assert "Is a directory; rows waiting in memory: 1" in (await status(sidecar))["ledger"]["error"]
        (tmp_path / "ledger.db").rmdir()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while daemon_state.read(sidecar.places.state_file)["ledger"]["error"]:  # noqa: ASYNC110  the file tells nobody
                await asyncio.sleep(0.01)
        assert len(await sidecar.rows()) == 1
        assert (await status(sidecar))["ledger"] == {"path": sidecar.places.ledger, "error": None}
        assert (await ask(sidecar)).status == 400


async def test_counting_tokens_and_other_paths_are_never_blocked(tmp_path):
    async with (
        raw_gateway(says(reply(message()))) as there,
        running(tmp_path, one_gateway(there.url, budgets("per: day, limit: 1 tokens"))) as sidecar,
    ):
        await ask(sidecar)
        await is_spent(sidecar)
        assert (await ask(sidecar, target=b"/v1/messages/count_tokens")).status == 200
        assert (await ask(sidecar, target=b"/v1/models", method=b"GET", body=None)).status == 200
        assert (await ask(sidecar)).status == 400


SPELLINGS = (
    *(b"/chat/completions", b"//v1/messages", b"/v1/messages/", b"/v1/v1/messages", b"/api/v1/chat/completions", b"/responses/compact"),
    *(
        b"/v1/completions",
        b"/v1/embeddings",
        b"/v1/messages/batches",
        b"/v1/batches",
        b"/v1/message%73",
        b"/V1/Messages",
        b"/v1/images/edits",
    ),
    *(b"/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse", b"/model/m/invoke"),
)


async def test_every_spelling_of_a_model_call_is_held_and_none_is_forwarded_otherwise_than_it_came(tmp_path):
    async with (
        raw_gateway(says(reply(message()))) as there,
        running(tmp_path, one_gateway(there.url, budgets("per: day, limit: 150 tokens"))) as sidecar,
    ):
        for target in SPELLINGS[:1]:
            assert (await ask(sidecar, target=target)).status == 200
            assert there.requests[-1].target == target
        assert (await ask(sidecar)).status == 200
        await is_spent(sidecar)
        for target in SPELLINGS:
            assert (await ask(sidecar, target=target)).value(b"x-sidecar-error") == b"over_budget", target
        for target in (b"/v1/./messages", b"/v1/messages;x", b"/v1%2fmessages", b"/v1/x/..;/messages"):
            assert (await ask(sidecar, target=target)).value(b"x-sidecar-error") == b"forbidden_path", target
        assert len(there.requests) == 2


async def test_what_is_not_metered_is_a_row_that_says_so(tmp_path):
    async with (
        raw_gateway(says(reply(b'{"data":[],"usage":{"total_tokens":5}}'))) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
    ):
        for target in (b"/v1/images/generations", b"/v1/somewhere/new", b"/v1/batches"):
            assert (await ask(sidecar, target=target)).status == 200
        rows = await sidecar.rows(3)
        assert [(row["kind"], row["outcome"], row["input_tokens"], row["cost_nanousd"]) for row in rows] == [
            ("inference", "unmetered", None, None)
        ] * 3


async def test_what_is_under_way_goes_on(tmp_path):
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def script(talk):
        asked = await talk.request()
        if asked.values(b"x-slow"):
            arrived.set()
            await go_on.wait()
        await talk.send(reply(message(500)))

    async with (
        raw_gateway(script) as there,
        running(tmp_path, one_gateway(there.url, budgets("per: week, limit: 500 tokens"))) as sidecar,
        client(sidecar) as slow,
    ):
        slow.send(request(sidecar, b"X-Slow: yes"))
        await arrived.wait()
        assert (await ask(sidecar)).status == 200
        await is_spent(sidecar)
        assert (await ask(sidecar)).status == 400
        go_on.set()
        got = await slow.reply()
        assert (got.status, got.body) == (200, message(500))
        assert (await counted(sidecar, lambda told: told["spent_tokens"] == 1000))["percent"] == 200


async def test_sessions_have_their_own_and_share_the_others(tmp_path):
    lines = ("per: month, limit: 1000 tokens", "per: session, limit: 300 tokens")
    async with (
        raw_gateway(says(reply(message(300)))) as there,
        running(tmp_path, one_gateway(there.url, budgets(*lines))) as sidecar,
    ):
        sessions = [b"X-Session-Id: s%d" % number for number in range(3)]
        got = await asyncio.gather(*(ask(sidecar, session) for session in sessions))
        assert [each.status for each in got] == [200] * 3
        await counted(sidecar, lambda told: told["spent_tokens"] == 900)
        refused = await ask(sidecar, sessions[0])
        assert refused.status == 400
        assert "300 tokens per session is spent" in said(refused)
        assert "a new session has its own" in said(refused)
        assert (await ask(sidecar, b"X-Session-Id: s4")).status == 200
        await is_spent(sidecar)
        assert "1k tokens per month" in said(await ask(sidecar, b"X-Session-Id: s5"))
        told = {each["session"]: each["state"] for each in (await status(sidecar))["budgets"]}
        assert told == {None: "spent", "s0": "spent", "s1": "spent", "s2": "spent", "s4": "spent"}


async def test_gateway_and_tag_narrow_a_budget_down(tmp_path):
    async with raw_gateway(says(reply(message()))) as there:
        config = one_gateway(there.url, "  other:\n    base_url: " + there.url + "\n    credential: {env: THERE_KEY}\n")
        config += budgets("per: day, limit: 1 tokens, gateway: other", "per: day, limit: 1 tokens, tag: night")
        async with running(tmp_path, config) as sidecar:
            assert (await ask(sidecar)).status == 200
            assert (await ask(sidecar)).status == 200
            assert (await ask(sidecar, b"X-Sidecar-Gateway: other")).status == 200
            await is_spent(sidecar, 0)
            assert "per day on gateway other" in said(await ask(sidecar, b"X-Sidecar-Gateway: other"))
            assert (await ask(sidecar, b"X-Sidecar-Tags: day,night")).status == 200
            await is_spent(sidecar, 1)
            assert "per day with tag night" in said(await ask(sidecar, b"X-Sidecar-Tags: night"))
            assert (await ask(sidecar)).status == 200


async def test_dollars_count_what_is_priced_and_tell_what_is_not(tmp_path):
    models = iter(["claude-sonnet-4-5", "house-small"])

    async def script(talk):
        while await talk.request():
            await talk.send(reply(message(100_000, next(models, "claude-sonnet-4-5"))))

    async with (
        raw_gateway(script) as there,
        running(tmp_path, anthropic(there.url, budgets("per: day, limit: $3.00"))) as sidecar,
    ):
        await ask(sidecar)
        told = await counted(sidecar, lambda told: told["spent_usd"] == 1.5)
        assert (told["limit_usd"], told["percent"], told["left"]) == (3.0, 50, "$1.50 of $3.00 left today")
        await ask(sidecar)
        await counted(sidecar, lambda told: told["unpriced_requests"] == 1)
        await ask(sidecar)
        assert (await is_spent(sidecar))["unpriced_requests"] == 1
        assert "the budget of $3.00 per day is spent: $3.00 so far" in said(await ask(sidecar))


async def test_a_subscriptions_requests_cost_no_dollars(tmp_path):
    async with raw_gateway(says(reply(message(100_000)))) as there:
        entry = f"{{preset: edgee, base_url: {there.url}, beside: true, credential: {{env: THERE_KEY}}}}"
        lines = budgets("per: day, limit: $0.01", "per: day, limit: 200k tokens")
        async with running(tmp_path, f"gateway: there\ngateways:\n  there: {entry}\n{lines}") as sidecar:
            login = b"Authorization: Bearer sk-ant-oat01-abcdef"
            body = request(sidecar, login, b"X-Sidecar-Pass: " + sidecar.given.encode())
            body = body.replace(b"Authorization: Bearer " + sidecar.given.encode() + b"\r\n", b"")
            for spent, expected in ((100_000, 200), (200_000, 200), (200_000, 400)):
                async with client(sidecar) as agent:
                    agent.send(body)
                    got = await agent.reply()
                assert got.status == expected
                await counted(sidecar, lambda told, spent=spent: told["spent_tokens"] == spent, 1)
            assert "200k tokens per day" in said(got)
            assert (await status(sidecar))["budgets"][0]["spent_usd"] == 0


async def test_status_shows_every_budget_and_the_sessions_that_are_near_their_end(tmp_path):
    lines = ("per: week, limit: 2M tokens", "per: session, limit: 1.2k tokens", "per: month, limit: $5")
    async with (
        raw_gateway(says(reply(message(1000, "house-small")))) as there,
        running(tmp_path, one_gateway(there.url, budgets(*lines))) as sidecar,
    ):
        for session in (b"busy", b"busy", b"calm"):
            await ask(sidecar, b"X-Session-Id: " + session)
        await counted(sidecar, lambda told: told["spent_tokens"] == 3000)
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "status", env={**os.environ, "SIDECAR_HOME": str(tmp_path)}, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await command.communicate()
        assert [line for line in out.decode().splitlines() if line.startswith("budget ")] == [
            "budget 2M tokens per week: 1.99M of 2M tokens left this week (0 % spent)",
            "budget $5.00 per month: $5.00 of $5.00 left this month (0 % spent, 3 requests of unknown cost not counted)",
            "budget 1.2k tokens per session (session busy): spent, 0 of 1.2k tokens left in this session (166 % spent)",
            "budget 1.2k tokens per session (session calm): nearly spent, 200 of 1.2k tokens left in this session (83 % spent)",
        ]


async def test_nothing_is_forgotten_over_a_restart(tmp_path):
    lines = budgets("per: day, limit: 1k tokens", "per: session, limit: 500 tokens")
    async with raw_gateway(says(reply(message(600)))) as there:
        async with running(tmp_path, one_gateway(there.url, lines)) as sidecar:
            assert (await ask(sidecar, b"X-Session-Id: s1")).status == 200
            await sidecar.rows()
        async with running(tmp_path, one_gateway(there.url, lines)) as sidecar:
            [told] = (await status(sidecar))["budgets"]
            assert told["spent_tokens"] == 600
            assert "per session" in said(await ask(sidecar, b"X-Session-Id: s1"))
            assert (await ask(sidecar, b"X-Session-Id: s2")).status == 200
            await is_spent(sidecar)
        async with running(tmp_path, one_gateway(there.url, lines)) as sidecar:
            assert "per day" in said(await ask(sidecar, b"X-Session-Id: s3"))


async def test_a_change_of_the_file_counts_for_the_next_request_with_what_was_spent_before(tmp_path):
    async with raw_gateway(says(reply(message(600)))) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        file = tmp_path / "config.yaml"
        assert (await ask(sidecar)).status == 200
        await sidecar.rows()
        file.write_text(one_gateway(there.url, budgets("per: day, limit: 600 tokens")))
        assert (await ask(sidecar)).status == 400
        file.write_text(one_gateway(there.url, budgets("per: day, limit: 601 tokens")))
        assert (await ask(sidecar)).status == 200
        file.write_text(one_gateway(there.url))
        assert (await ask(sidecar)).status == 200
        assert (await status(sidecar))["budgets"] == []


async def test_what_another_instance_writes_counts_too(tmp_path):
    """A sidecar that has handed over still finishes its streams, into the same ledger."""
    async with (
        raw_gateway(says(reply(message(100)))) as there,
        running(tmp_path, one_gateway(there.url, budgets("per: day, limit: 1k tokens"))) as sidecar,
    ):
        await ask(sidecar)
        await counted(sidecar, lambda told: told["spent_tokens"] == 100)
        with closing(sqlite3.connect(sidecar.places.ledger, isolation_level=None)) as other:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not other.execute("SELECT 1 FROM requests WHERE finished_at IS NOT NULL").fetchone():  # noqa: ASYNC110  counted before it is on disk
                    await asyncio.sleep(0.01)
            columns = [name for _, name, *_ in other.execute("PRAGMA table_info(requests)") if name != "id"]
            listed = ", ".join(columns).replace("output_tokens", "1000", 1)
            other.execute(f"INSERT INTO requests (id, {', '.join(columns)}) SELECT 'other', {listed} FROM requests")
        await ask(sidecar)
        assert (await is_spent(sidecar))["spent_tokens"] == 1200


async def test_yesterdays_requests_are_not_todays(tmp_path):
    async with (
        raw_gateway(says(reply(message(100)))) as there,
        running(tmp_path, one_gateway(there.url)) as sidecar,
    ):
        await ask(sidecar)
        await sidecar.rows()
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    before = datetime.fromtimestamp(midnight.timestamp() - 0.001).astimezone()
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE requests SET started_at = strftime('%Y-%m-%dT%H:%M:%fZ', ?, 'unixepoch')", (before.timestamp(),))
    lines = budgets("per: day, limit: 100 tokens", "per: session, limit: 100 tokens")
    async with raw_gateway(says(reply(message(100)))) as there, running(tmp_path, one_gateway(there.url, lines)) as sidecar:
        assert (await status(sidecar))["budgets"][0]["spent_tokens"] == 0
        assert "per session" in said(await ask(sidecar))


async def test_while_the_ledger_cannot_be_written_it_is_still_read(tmp_path):
    lines = budgets("per: session, limit: 100 tokens")
    early, late = b"X-Session-Id: early", b"X-Session-Id: late"
    async with raw_gateway(says(reply(message(100)))) as there:
        async with running(tmp_path, one_gateway(there.url)) as sidecar:
            await ask(sidecar, early)
            await sidecar.rows()
        async with running(tmp_path, one_gateway(there.url, lines)) as sidecar:
            with closing(sqlite3.connect(sidecar.places.ledger, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                assert (await ask(sidecar, late)).status == 200  # its row waits from now on
                assert (await ask(sidecar, early)).status == 400
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while (await ask(sidecar, late)).status == 200:  # noqa: ASYNC110  see above
                        await asyncio.sleep(0.01)
                other.execute("COMMIT")
            assert (await ask(sidecar, early)).status == 400


@pytest.mark.parametrize("step", [20, 80, 100])
async def test_the_log_warns_once_at_each_threshold(tmp_path, step):
    logs.configure("info", str(tmp_path / "logs"), lambda: (), console=False)
    try:
        async with (
            raw_gateway(says(reply(message(step)))) as there,
            running(tmp_path, one_gateway(there.url, budgets("per: day, limit: 100 tokens"))) as sidecar,
        ):
            for number in range(100 // step + 1):
                if (await ask(sidecar)).status == 200:
                    await counted(sidecar, lambda told, spent=(number + 1) * step: told["spent_tokens"] == spent)
    finally:
        logs.close()
    lines = [json.loads(line) for file in (tmp_path / "logs").iterdir() for line in file.read_text().splitlines()]
    near = [line["percent"] for line in lines if line["event"] == "budget.near"]
    assert near == {20: [75, 95], 80: [75, 95], 100: [95]}[step]
    assert {line["budget"] for line in lines if line["event"] == "budget.near"} == {"100 tokens per day"}
