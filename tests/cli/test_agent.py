from __future__ import annotations

import pytest

from sidecar.launch.environment import applied, changes

URL = "http://127.0.0.1:4180"
PASS = "sidecar-pass-new.new"
OLD = "sidecar-pass-old.old"


def gateway(**given):
    return {"beside": False, "agent_env": {}, "remove": [], "key": True} | given


STATE = {
    "gateway": "vercel",
    "configured": ["vercel", "zai", "edgee"],
    "gateways": {
        "vercel": gateway(remove=["AI_GATEWAY_API_KEY"], agent_env={"ENABLE_TOOL_SEARCH": "true"}),
        "zai": gateway(remove=["ZAI_API_KEY"], agent_env={"ANTHROPIC_DEFAULT_HAIKU_MODEL": "glm-4.7"}),
        "anthropic": gateway(remove=["ANTHROPIC_API_KEY"]),
        "edgee": gateway(remove=["EDGEE_API_KEY"], beside=True),
    },
}


def environment(environ, name="vercel"):
    return applied(environ, changes(environ, STATE, name, URL, PASS))


def test_an_empty_environment_gets_what_an_agent_needs():
    assert environment({}) == {
        "ANTHROPIC_BASE_URL": URL,
        "ANTHROPIC_AUTH_TOKEN": PASS,
        "ANTHROPIC_API_KEY": "",
        "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST": "1",
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
        "ENABLE_TOOL_SEARCH": "true",
    }


def test_nothing_else_is_touched():
    theirs = {"STRIPE_KEY": "k", "ANTHROPIC_MODEL": "m", "ANTHROPIC_BETAS": "b", "PATH": "/bin", "HTTPS_PROXY": "http://p", "EMPTY": ""}
    assert theirs.items() <= environment(theirs).items()


@pytest.mark.parametrize("provider", ["USE_BEDROCK", "USE_VERTEX", "USE_FOUNDRY", "USE_MANTLE", "USE_ANTHROPIC_AWS"])
@pytest.mark.parametrize("name", ["vercel", "edgee"])
def test_the_switches_to_other_providers_go(provider, name):
    assert f"CLAUDE_CODE_{provider}" not in environment({f"CLAUDE_CODE_{provider}": "1"}, name)


@pytest.mark.parametrize("name", ["vercel", "edgee"])
def test_no_gateways_key_stays(name):
    keys = {"AI_GATEWAY_API_KEY": "k1", "ZAI_API_KEY": "k2", "EDGEE_API_KEY": "k3"}
    assert not set(keys) & set(environment(keys, name))


def test_a_replace_gateway_takes_the_clients_own_login_away():
    found = environment({"ANTHROPIC_API_KEY": "sk-real", "ANTHROPIC_AUTH_TOKEN": "real", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-real"})
    assert (found["ANTHROPIC_API_KEY"], found["ANTHROPIC_AUTH_TOKEN"]) == ("", PASS)
    assert "CLAUDE_CODE_OAUTH_TOKEN" not in found


def test_beside_a_gateway_the_client_keeps_its_own_login():
    own = {"ANTHROPIC_API_KEY": "sk-real", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-real"}
    found = environment(own, "edgee")
    assert own.items() <= found.items()
    assert "ANTHROPIC_AUTH_TOKEN" not in found
    assert found["ANTHROPIC_CUSTOM_HEADERS"] == f"x-sidecar-pass: {PASS}"


def test_the_pass_comes_after_the_users_own_headers_and_replaces_an_inherited_one():
    lines = f"X-Team: core\nX-Sidecar-Pass: {OLD}\nx-sidecar-tags: a"
    assert (
        environment({"ANTHROPIC_CUSTOM_HEADERS": lines}, "edgee")["ANTHROPIC_CUSTOM_HEADERS"]
        == f"X-Team: core\nx-sidecar-tags: a\nx-sidecar-pass: {PASS}"
    )
    assert environment({"ANTHROPIC_CUSTOM_HEADERS": lines})["ANTHROPIC_CUSTOM_HEADERS"] == "X-Team: core\nx-sidecar-tags: a"


def test_headers_that_held_nothing_but_an_inherited_pass_go():
    assert "ANTHROPIC_CUSTOM_HEADERS" not in environment({"ANTHROPIC_CUSTOM_HEADERS": f"x-sidecar-pass: {OLD}"})


def test_a_pass_of_another_run_is_no_login_of_the_clients():
    assert "ANTHROPIC_AUTH_TOKEN" not in environment({"ANTHROPIC_AUTH_TOKEN": OLD}, "edgee")
    assert environment({"ANTHROPIC_AUTH_TOKEN": OLD})["ANTHROPIC_AUTH_TOKEN"] == PASS


@pytest.mark.parametrize(
    ("upper", "lower", "both"),
    [
        ("corp.example", None, "corp.example,127.0.0.1,localhost,::1"),
        (None, "corp.example", "corp.example,127.0.0.1,localhost,::1"),
        ("a.example, b.example", "b.example,c.example", "b.example,c.example,a.example,127.0.0.1,localhost,::1"),
        ("localhost", "", "localhost,127.0.0.1,::1"),
        ("*", None, "*,127.0.0.1,localhost,::1"),
    ],
)
def test_both_spellings_of_no_proxy_get_the_union_and_loopback(upper, lower, both):
    given = {name: value for name, value in (("NO_PROXY", upper), ("no_proxy", lower)) if value is not None}
    found = environment(given)
    assert (found["NO_PROXY"], found["no_proxy"]) == (both, both)


def test_what_the_user_has_set_in_the_shell_beats_the_gateways_own():
    assert environment({"ENABLE_TOOL_SEARCH": "false"})["ENABLE_TOOL_SEARCH"] == "false"


def test_what_an_outer_run_added_for_its_gateway_does_not_reach_the_inner_one():
    inherited = {"ANTHROPIC_AUTH_TOKEN": OLD, "ANTHROPIC_DEFAULT_HAIKU_MODEL": "glm-4.7", "ENABLE_TOOL_SEARCH": "true"}
    assert "ANTHROPIC_DEFAULT_HAIKU_MODEL" not in environment(inherited)
    assert environment(inherited)["ENABLE_TOOL_SEARCH"] == "true"
    assert environment({**inherited, "ANTHROPIC_DEFAULT_HAIKU_MODEL": "mine"})["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "mine"
    assert environment({"ANTHROPIC_DEFAULT_HAIKU_MODEL": "glm-4.7"})["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "glm-4.7"


def test_keys_of_gateways_that_are_not_in_use_stay_the_projects_own():
    theirs = {"ANTHROPIC_API_KEY": "sk-theirs", "EDGEE_API_KEY": "k", "DEEPSEEK_API_KEY": "d"}
    state = STATE | {"configured": [], "gateways": STATE["gateways"] | {"deepseek": gateway(remove=["DEEPSEEK_API_KEY"])}}
    got = applied(theirs, changes(theirs, state, "vercel", URL, PASS))
    assert (got["EDGEE_API_KEY"], got["DEEPSEEK_API_KEY"], got["ANTHROPIC_API_KEY"]) == ("k", "d", "")
