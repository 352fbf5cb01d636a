"""`config path`, `check` and `show`, with no daemon."""

from __future__ import annotations

import json
import os

import yaml

from sidecar.config.load import load, parsed

FIVE_FAULTS = """\
gateway: nope
tags: [1]
gateways:
  corp: {base_url: http://llm.example}
  edgee: {unknown: 1}
log: {level: loud}
"""


def write(home, text: str) -> None:
    home.path.mkdir(mode=0o700)
    path = home.path / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)


def test_path_says_where_the_file_is_or_would_be(home):
    assert home.run("config", "path").stdout == f"{home.path}/config.yaml\n"
    assert home.run("--config", "x.yaml", "config", "path").stdout == f"{home.folder}/x.yaml\n"


def test_check_names_every_fault_with_its_line_and_column(home):
    write(home, FIVE_FAULTS)
    found = home.run("config", "check")
    assert found.returncode == 3
    assert [line.split(": ")[:2] for line in found.stdout.splitlines()] == [
        ["config.yaml:1:10", "gateway"],
        ["config.yaml:2:8", "tags.0"],
        ["config.yaml:4:20", "gateways.corp.base_url"],
        ["config.yaml:5:11", "gateways.edgee.unknown"],
        ["config.yaml:6:14", "log.level"],
    ]
    assert str(home.path / "config.yaml") in found.stderr


def test_check_of_a_good_file_and_of_none(home):
    assert "the defaults hold" in home.run("config", "check").stdout
    write(home, "gateway: edgee\n")
    found = home.run("config", "check")
    assert (found.returncode, found.stderr) == (0, "")
    assert "no fault" in found.stdout


def test_show_is_a_configuration_with_every_default(home):
    write(home, "gateway: vercel\nledger: {keep: 90m}\n")
    found = home.run("config", "show")
    assert (found.returncode, found.stderr) == (0, "")
    shown = yaml.safe_load(found.stdout)
    assert shown["gateway"] == "vercel"
    assert shown["listen"] == "127.0.0.1:4180"
    assert shown["timeouts"] == {"connect": "10s", "first_byte": "none", "idle": "none", "drain": "30s"}
    assert (shown["limits"], shown["ledger"]) == ({"body": "32MiB"}, {"keep": "90m"})
    assert shown["gateways"]["vercel"]["credential"] == [
        {"keyring": "vercel"},
        {"file": os.path.join("keys", "vercel")},
        {"env": "AI_GATEWAY_API_KEY"},
        {"env": "VERCEL_OIDC_TOKEN"},
    ]


def test_show_as_json_has_no_secret_and_no_arguments_of_a_command(home):
    home.environ |= {"AI_GATEWAY_API_KEY": "vck_secret", "HTTPS_PROXY": "http://u:secret@p.example"}
    write(home, "gateways: {vercel: {credential: {command: [vault, -p, hunter2]}, headers: {x-a: {credential: {env: B}}}}}\n")
    found = home.run("config", "show", "--json")
    shown = json.loads(found.stdout)
    assert shown["path"] == f"{home.path}/config.yaml"
    assert shown["gateways"]["vercel"]["credential"] == [{"command": "vault", "ttl": "none"}]
    assert shown["gateways"]["vercel"]["headers"] == {"x-a": {"credential": [{"env": "B"}]}}
    assert "secret" not in found.stdout
    assert "hunter2" not in found.stdout


def test_what_show_prints_of_the_simple_keys_loads_as_the_same(home):
    write(home, "tags: [a]\ntimeouts: {connect: 1500ms, drain: 2h}\nlimits: {body: 3000B}\n")
    before = load(home.places)
    shown = yaml.safe_load(home.run("config", "show").stdout)
    again = parsed(yaml.safe_dump({name: value for name, value in shown.items() if name != "gateways"}), "config.yaml")
    assert (again.tags, again.timeouts, again.body_limit) == (before.tags, before.timeouts, before.body_limit)
