from __future__ import annotations

import pytest

from sidecar.errors import Refusal
from sidecar.launch.passes import Pass
from sidecar.sessions.session import find_pass, for_the_gateway, identify
from sidecar.wire.fields import by_name

PASS = Pass("run-1", 2_000_000_000, tags=("a", "b"), project="p", repo="github.com/o/r", branch="main")
USER_ID = '{"device_id":"d","account_uuid":"","session_id":"from-body"}'


@pytest.mark.parametrize(
    ("fields", "user_id", "session"),
    [
        ([], None, "run-1"),
        ([], USER_ID, "from-body"),
        ([], "user_ab_account_cd_session_0e1f-22", "0e1f-22"),
        ([], '{"session_id": 5}', "run-1"),
        ([], '"text"', "run-1"),
        ([], '{"session_id": "a\\u0007"}', "run-1"),
        ([(b"X-Session-Affinity", b"ses_1")], USER_ID, "ses_1"),
        ([(b"session_id", b"codex"), (b"X-Session-Id", b"other")], None, "codex"),
        ([(b"x-session-id", b"s"), (b"X-Claude-Code-Session-Id", b"cc")], USER_ID, "cc"),
        ([(b"x-claude-code-session-id", b"cc"), (b"X-Sidecar-Session", b"mine")], USER_ID, "mine"),
        ([(b"x-claude-code-session-id", b"")], None, "run-1"),
    ],
)
def test_the_session_is_the_first_that_is_said(fields, user_id, session):
    assert identify(PASS, by_name(fields), user_id).session == session


def test_what_a_pass_pins_no_header_changes():
    pinned = Pass("run-1", 2_000_000_000, session="pinned", gateway="vercel")
    caller = identify(
        pinned, by_name([(b"x-sidecar-session", b"other"), (b"x-sidecar-gateway", b"edgee"), (b"x-claude-code-session-id", b"cc")]), USER_ID
    )
    assert (caller.session, caller.gateway, caller.is_pinned) == ("pinned", "vercel", True)


def test_everything_else_is_collected():
    fields = [
        (b"User-Agent", b"claude-cli/2.1.197 (external, sdk-cli)"),
        (b"x-claude-code-agent-id", b"a1"),
        (b"x-claude-code-parent-agent-id", b"a0"),
        (b"X-Sidecar-Tags", b"b, c,,d"),
        (b"x-sidecar-tags", b"a"),
        (b"x-sidecar-gateway", b"edgee"),
        (b"X-Stainless-Retry-Count", b"2"),
    ]
    caller = identify(PASS, by_name(fields), None)
    assert caller.tags == ("a", "b", "c", "d")
    assert (caller.client, caller.agent, caller.parent_agent, caller.retry_count) == ("claude-cli", "a1", "a0", 2)
    assert (caller.gateway, caller.is_pinned) == ("edgee", False)
    assert (caller.project, caller.repo, caller.branch) == ("p", "github.com/o/r", "main")


@pytest.mark.parametrize("value", [b"x" * 257, b"a\x9b", b"a\tb", b"\xff"])
@pytest.mark.parametrize("name", [b"x-sidecar-session", b"x-claude-code-session-id", b"x-sidecar-tags"])
def test_what_no_header_should_carry_is_refused_where_it_enters(name, value):
    with pytest.raises(Refusal, match=name.decode()) as refused:
        identify(PASS, by_name([(name, value)]), None)
    assert refused.value.code == "bad_header"


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ([(b"Authorization", b"Bearer sidecar-pass-1")], "sidecar-pass-1"),
        ([(b"authorization", b"bearer  sidecar-pass-1")], "sidecar-pass-1"),
        ([(b"X-Api-Key", b"sidecar-pass-2"), (b"Authorization", b"Bearer sk-ant-oat01")], "sidecar-pass-2"),
        (
            [(b"x-api-key", b"sidecar-pass-2"), (b"authorization", b"Bearer sidecar-pass-1"), (b"x-sidecar-pass", b"sidecar-pass-0")],
            "sidecar-pass-0",
        ),
        ([(b"x-sidecar-pass", b"nonsense"), (b"x-api-key", b"sidecar-pass-2")], "sidecar-pass-2"),
        ([(b"x-other", b"sidecar-pass-2")], None),
    ],
)
def test_the_first_that_looks_like_a_pass_decides(fields, held):
    assert find_pass(by_name(fields)) == held


def test_nothing_meant_for_the_sidecar_goes_on():
    fields = [(b"X-Sidecar-Tags", b"t"), (b"x-api-key", b"sidecar-pass-2"), (b"Authorization", b"Bearer sk-ant-oat01"), (b"X-Else", b"1")]
    assert for_the_gateway(fields) == fields[2:]
