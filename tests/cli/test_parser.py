from __future__ import annotations

from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.launch import quick
from sidecar.launch.commands import COMMANDS
from sidecar.launch.parser import parse


@pytest.mark.parametrize(
    ("argv", "command", "tags"),
    [
        (["run", "claude"], ["claude"], []),
        (["run", "--", "claude"], ["claude"], []),
        (["run", "-t", "a", "--tag=b", "-tc", "claude", "-t", "d"], ["claude", "-t", "d"], ["a", "b", "c"]),
        (["run", "-t", "a", "--", "claude", "--", "-x"], ["claude", "--", "-x"], ["a"]),
        (["run", "--", "--odd", "name"], ["--odd", "name"], []),
        (["run", "-t", "a", "claude", "--help"], ["claude", "--help"], ["a"]),
        (["run", "claude", "--version", "--config", "x"], ["claude", "--version", "--config", "x"], []),
    ],
    ids=" ".join,
)
def test_options_before_the_command_are_ours_and_after_it_are_its_own(argv, command, tags):
    args = parse(argv)
    assert (args.command, args.tags, args.config) == (command, tags, None)


@pytest.mark.parametrize("argv", [["--config", "f", "status"], ["--config=f", "status"], ["status", "--config", "f"]], ids=" ".join)
def test_the_configuration_file_may_be_named_before_or_after_the_command(argv):
    assert parse(argv).config == "f"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_a_handler_a_line_of_help_and_an_example(command, capsys):
    module, _, function = command.handler.partition(":")
    assert callable(getattr(import_module(module), function))
    with pytest.raises(SystemExit) as ended:
        parse([*command.name.split(), "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert command.help in shown
    assert command.example in shown
    assert command.example.startswith(f"sidecar {command.name}") or f"$(sidecar {command.name}" in command.example


def test_every_example_can_be_parsed():
    for command in COMMANDS:
        words = command.example.partition("#")[0].replace('eval "$(', "").replace(')"', "").replace("'", "").split()
        assert parse(words[1:]).verb == command.name


@pytest.mark.parametrize(
    "argv",
    [
        ["run"],
        ["run", "-t"],
        ["run", "--"],
        ["run", "--nonsense", "claude"],
        ["use"],
        ["--nonsense"],
        ["usage", "--by", "moon"],
        ["logs", "-n", "x"],
    ],
    ids=" ".join,
)
def test_a_usage_fault_is_exit_code_2(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(argv)
    assert ended.value.code == 2
    assert "sidecar" in capsys.readouterr().err


WORDS = st.sampled_from(
    [
        *{name for command in COMMANDS for names, _ in command.arguments for name in names},
        *("--", "-", "-h", "--tag=b", "-tc", "-1", "a", "a b", "-a b", "", "agent", "export", "--config", "--config=f", "--version"),
    ]
)  # fmt: skip


@given(st.sampled_from([[], ["--config", "f"], ["--config"]]), st.sampled_from(COMMANDS), st.lists(WORDS, max_size=6))
def test_what_is_read_quickly_is_what_argparse_would_say(before, command, words):
    argv = [*before, *command.name.split(), *words]
    args = quick.parse(argv)
    if args is not None:
        assert vars(args) == vars(parse(argv))


@pytest.mark.parametrize(
    "argv",
    [
        ["run", "claude"],
        ["run", "-g", "x", "-t", "a", "--tag", "b", "--session", "s", "--", "claude", "-p", "--"],
        ["--config", "f", "run", "claude"],
        ["run", "--config", "f", "claude"],
        ["statusline"],
        ["statusline", "--beside", "other"],
        ["status", "--json"],
    ],
    ids=" ".join,
)
def test_the_usual_writings_are_read_quickly(argv):
    assert vars(quick.parse(argv)) == vars(parse(argv))
