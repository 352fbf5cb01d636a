"""`sidecar env` and `sidecar token` as processes."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from sidecar.cli.setup.passes import lifetime_seconds
from sidecar.errors import UsageError
from sidecar.launch.passes import check
from sidecar.launch.passkey import load


def pass_of(home, text):
    return check(load(home.places.pass_key), text.strip(), time.time())


def test_what_env_prints_makes_a_shell_what_run_makes_of_an_agent(home, daemon):
    daemon()
    home.agent()
    home.environ |= {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "GW_KEY": "k",
        "ANTHROPIC_CUSTOM_HEADERS": 'x-quote: it\'s "$HOME"\nx-two: 2',
        "NO_PROXY": "corp",
    }
    by_run = json.loads(home.run("run", "agent").stdout)[1]
    exports = home.run("env").stdout
    by_shell = json.loads(
        subprocess.run(["sh", "-c", f"{exports}\nexec agent"], env=home.environ, capture_output=True, text=True, check=True).stdout
    )[1]
    for environ in (by_run, by_shell):
        assert environ.pop("ANTHROPIC_AUTH_TOKEN").startswith("sidecar-pass-")
        for shells_own in ("PWD", "OLDPWD", "SHLVL", "_"):
            environ.pop(shells_own, None)
    assert by_shell == by_run


def test_env_as_json_is_a_settings_files_env_block(home, daemon):
    daemon()
    home.environ["CLAUDE_CODE_USE_VERTEX"] = "1"
    block = json.loads(home.run("env", "-t", "ide", "--json").stdout)["env"]
    assert pass_of(home, block["ANTHROPIC_AUTH_TOKEN"]).tags == ("ide",)
    assert block["CLAUDE_CODE_USE_VERTEX"] == ""
    assert "CLAUDE_CODE_USE_BEDROCK" not in block
    assert all(isinstance(value, str) for value in block.values())


@pytest.mark.parametrize(
    ("credential", "gateway", "code"), [({"key": True}, "nowhere", 2), ({"key": False}, "gw", 4)], ids=["unknown", "no key"]
)
def test_env_says_what_is_missing_by_its_exit_code(home, daemon, credential, gateway, code):
    daemon(gateways={"gw": {"beside": False, "agent_env": {}, "remove": [], "key": False}}, credential=credential)
    result = home.run("env", "-g", gateway)
    assert (result.returncode, result.stdout) == (code, "")


def test_a_token_needs_no_daemon_and_no_right_configuration(home):
    home.path.mkdir(mode=0o700)
    (home.path / "config.yaml").write_text("gateways: [broken")
    result = home.run("token", "-g", "vercel", "-t", "ci", "-s", "s1", "--ttl", "2h")
    found = pass_of(home, result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert (found.gateway, found.session, found.tags, found.scope) == ("vercel", "s1", ("ci",), "agent")
    assert 7100 < found.expires - time.time() <= 7200


def test_a_token_is_good_for_ninety_days_unless_told_otherwise(home):
    left = pass_of(home, home.run("token").stdout).expires - time.time()
    assert abs(left - 90 * 86400) < 60


def test_rotate_ends_all_earlier_passes(home):
    before = home.run("token").stdout
    result = home.run("token", "--rotate")
    assert result.returncode == 0
    assert "sidecar-pass-" not in result.stdout
    assert pass_of(home, before) is None
    assert pass_of(home, home.run("token").stdout) is not None


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("45m", 2700), ("8h", 28800), ("90d", 7776000), ("1w", 604800)])
def test_lifetimes(text, seconds):
    assert lifetime_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "90", "-1d", "0d", "1.5h", "1y", "90 d", "٣d", "99999999999999999d", "11000d", "1dd"])
def test_a_lifetime_that_makes_no_sense_is_refused(home, text):
    with pytest.raises(UsageError):
        lifetime_seconds(text)


def test_a_refused_lifetime_is_a_usage_fault(home):
    result = home.run("token", "--ttl", "soon")
    assert (result.returncode, result.stdout) == (2, "")


def test_more_tags_than_fit_are_refused(home):
    result = home.run("token", "-t", ",".join(f"{number:0200}" for number in range(100)))
    assert result.returncode == 2
