"""`config path`, `check` and `show`, with no daemon."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest
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


def editor(home, source: str) -> None:
    """`source` is Python in which `path` is the file that is edited, a `Path`."""
    script = home.script("my-editor", f"#!{sys.executable}\nimport sys, pathlib\npath = pathlib.Path(sys.argv[-1])\n{source}\n")
    home.environ["EDITOR"] = f"'{script}' --wait"


def test_init_writes_every_key_at_its_default_and_only_once(home):
    assert home.run("config", "init").returncode == 0
    file = home.path / "config.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == (Path(__file__).parents[2] / "config.example.yaml").read_text()
    assert home.run("config", "check").returncode == 0
    file.write_text("gateway: edgee\n")
    again = home.run("config", "init")
    assert (again.returncode, file.read_text()) == (2, "gateway: edgee\n")
    assert "sidecar config edit" in again.stderr


def test_edit_takes_what_has_no_fault(home):
    write(home, "gateway: edgee\n")
    editor(home, "assert sys.argv[1] == '--wait'; path.write_text(path.read_text().replace('edgee', 'vercel'))")
    done = home.run("config", "edit")
    assert (done.returncode, done.stderr) == (0, "")
    assert (home.path / "config.yaml").read_text() == "gateway: vercel\n"
    assert os.listdir(home.path) == ["config.yaml"]


def test_edit_of_no_file_begins_with_the_explained_one(home):
    editor(home, "assert 'drain: 30s' in path.read_text(); path.write_text('tags: [a]\\n')")
    assert home.run("config", "edit").returncode == 0
    assert (home.path / "config.yaml").read_text() == "tags: [a]\n"


def test_edit_leaves_the_file_as_it_was_where_the_draft_has_a_fault_and_keeps_the_draft(home):
    write(home, "gateway: edgee\n")
    editor(home, "path.write_text('gateway: nope\\n')")
    done = home.run("config", "edit")
    assert done.returncode == 3
    assert "config.yaml:1:10: gateway: there is no gateway 'nope'" in done.stderr
    assert (home.path / "config.yaml").read_text() == "gateway: edgee\n"
    draft = Path(done.stderr.partition("your version is in ")[2].splitlines()[0])
    assert draft.read_text() == "gateway: nope\n"
    draft.unlink()
    draft.parent.rmdir()


@pytest.mark.parametrize(
    ("source", "code", "said"), [("", 0, "nothing has changed"), ("sys.exit(3)", 1, "ended with 3"), (None, 2, "could not be started")]
)
def test_edit_that_changes_nothing_writes_nothing(home, source, code, said):
    write(home, "gateway: edgee\n")
    before = (home.path / "config.yaml").stat()
    if source is None:
        home.environ["EDITOR"] = str(home.folder / "none")
    else:
        editor(home, source)
    done = home.run("config", "edit")
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert (home.path / "config.yaml").stat().st_mtime_ns == before.st_mtime_ns


def test_edit_does_not_undo_what_somebody_else_wrote_meanwhile(home):
    write(home, "gateway: edgee\n")
    editor(home, f"path.write_text('gateway: vercel\\n'); pathlib.Path({str(home.path / 'config.yaml')!r}).write_text('tags: [x]\\n')")
    done = home.run("config", "edit")
    assert done.returncode == 1
    assert "by somebody else" in done.stderr
    assert (home.path / "config.yaml").read_text() == "tags: [x]\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("gateways: {vercel: {api_key: vck_0123456789}}\n", "1:21: gateways.vercel.api_key: "),
        ("gateways: {vercel: {API-Key: x}}\n", "1:21: gateways.vercel.API-Key: "),
        ("gateways: {vercel: {token: x}}\n", "1:21: gateways.vercel.token: "),
        ("api_key: x\n", "1:1: api_key: "),
        ("anthropic_api_key: x\n", "1:1: anthropic_api_key: "),
    ],
)
def test_a_key_in_the_file_is_answered_with_where_it_belongs(home, text, place):
    write(home, text)
    (line,) = home.run("config", "check").stdout.splitlines()
    assert line.startswith(f"config.yaml:{place}a gateway's key is never written here")
    assert line.endswith("sidecar login " + ("vercel" if "vercel" in text else "GATEWAY"))
    assert "vck_" not in line
