"""Claude Code's settings keep every byte that is not ours, and get back what was ours."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cli.setup.claude_settings import with_line, without_line
from sidecar.errors import SidecarError

SIDECAR = "/opt/venv/bin/sidecar"
OTHER = '~/bin/line.sh --colour "always" | tr \'a\' "b"'

TEXTS = {
    "empty": "{}",
    "empty with a line end": "{\n}\n",
    "two spaces": '{\n  "model": "opus",\n  "env": {"A": "b"}\n}\n',
    "tabs and CRLF": '{\r\n\t"model": "opus"\r\n}\r\n',
    "a byte order mark": '\ufeff{\n  "model": "opus"\n}\n',
    "a byte order mark and another line": '\ufeff {"statusLine": {"type": "command", "command": "date"}}',
    "one line": '{"model":"opus","env":{}}',
    "odd spaces": ' {  "model" :\t"opus" ,\n"n": 1.50e+3}  ',
    "escapes": '{"\\u0061": "\\/", "é": "\\ud83d\\ude00"}',
    "another line": json.dumps({"statusLine": {"type": "command", "command": OTHER, "padding": 0}, "z": 1}, indent=2),
    "another line with escapes": '{"statusLine": {"command": "\\u0065cho \\/é \'\\"\'\\"\'", "type": "command"}}',
    "an empty command": '{"statusLine": {"type": "command", "command": ""}}',
    "the name deeper down": '{"x": {"statusLine": {"type": "command", "command": "no"}}, "y": "statusLine"}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_goes_in_comes_out_and_leaves_every_byte(text):
    after = with_line(text, SIDECAR)
    assert json.loads(after.removeprefix("\ufeff"))["statusLine"]["command"].startswith(f"{SIDECAR} statusline")
    assert with_line(after, SIDECAR) == after
    assert without_line(after) == text
    assert without_line(text) == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_nothing_else_changes(text):
    before, after = (json.loads(each.removeprefix("\ufeff")) for each in (text, with_line(text, SIDECAR)))
    ours = after.pop("statusLine")
    there = before.pop("statusLine", {"type": "command", "command": None})
    assert before == after
    assert {**there, "command": None} == {**ours, "command": None}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.booleans())
def test_any_other_command_survives(command, escaped):
    text = json.dumps({"statusLine": {"type": "command", "command": command}}, ensure_ascii=escaped)
    assert without_line(with_line(text, SIDECAR)) == text


@pytest.mark.parametrize("command", ["echo it\\'s | cat", OTHER, "printf '%s' \"a'b\"", "echo '\"'\"'\"'"])
def test_a_shell_finds_the_other_command_as_it_was_written(command):
    text = json.dumps({"statusLine": {"type": "command", "command": command}})
    whole = json.loads(with_line(text, "print_words() { printf '%s\\0' \"$@\"; }; print_words sidecar".rpartition(" ")[2]))["statusLine"][
        "command"
    ]
    shell = subprocess.run(["sh", "-c", f'sidecar() {{ printf "%s" "$3"; }}; {whole}'], capture_output=True, text=True, check=True)
    assert shell.stdout == command


def test_a_line_that_somebody_wrote_around_ours_is_theirs():
    text = json.dumps({"statusLine": {"type": "command", "command": "date; /opt/bin/sidecar statusline"}})
    assert without_line(text) == text


def test_ours_goes_from_wherever_it_has_been_moved_to():
    line = '"statusLine": {"type": "command", "command": "sidecar statusline"}'
    assert without_line(f'{{"a": 1, {line}, "b": 2}}') == '{"a": 1, "b": 2}'
    assert without_line(f'{{"a": 1, {line}}}') == '{"a": 1}'


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1} {}', "// no\n{}", '{"statusLine": "x"}', '{"statusLine": {"type": "command"}}'])
def test_what_cannot_be_understood_is_left_alone(text):
    with pytest.raises(SidecarError, match="nothing was changed"):
        with_line(text, SIDECAR)
