from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sidecar.errors import UsageError
from sidecar.ledger.entry import Ending, Kind
from sidecar.ledger.story import session_named, story, tree
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Reading, Usage

sys.path.insert(0, str(Path(__file__).parent))
from exchanges import NOON, closing, opening, reading

OVERLOADED = Reading(failed=True, error_type="overloaded_error")


@pytest.fixture
def path(tmp_path):
    """Session `4f1c-a`: a turn, one that fails and is sent again, a subagent with one of its own, a request still open."""
    path = str(tmp_path / "ledger.db")
    ledger = Ledger(path, "one", print)
    ledger.start()
    for number, (agent, parent, read, more) in enumerate(
        [
            (None, None, reading(usage=Usage(10, 7)), {}),
            (None, None, OVERLOADED, {}),
            (None, None, reading(usage=Usage(20, 7)), {}),
            ("a1", None, reading(usage=Usage(1, 1), model="claude-haiku-4-5-20251001"), {}),
            ("a2", "a1", OVERLOADED, {}),
            ("a2", "a1", reading(usage=Usage(2, 2)), {"retry_count": 1}),
            (None, None, reading(usage=Usage(30, 7)), {}),
            (None, None, Reading(), {"kind": Kind.COUNT}),
        ],
        1,
    ):
        begun = {"session": "4f1c-a", "agent": agent, "parent_agent": parent, "started_at": NOON + number, **more}
        ledger.open(opening(number, **begun))
        ledger.close(closing(number, finished_at=NOON + number + 1, reading=read))
    ledger.open(opening(20, session="4f1c-a", started_at=NOON + 20))
    ledger.open(opening(21, session="4f1c-b", started_at=NOON + 20))
    ledger.open(opening(22, session="4", started_at=NOON + 20))
    ledger.stop()
    return path


def test_turns_are_the_main_agents_and_one_sent_again_is_the_same_turn(path):
    told = story(path, "4f1c-a")
    assert [(turn["turn"], turn["agent"], turn["retry"]) for turn in told["turns"]] == [
        (1, None, False),
        (2, None, False),
        (2, None, True),
        (None, "a1", False),
        (None, "a2", False),
        (None, "a2", True),
        (3, None, False),
        (4, None, False),
    ]
    assert told["turns"][-1]["outcome"] is None
    assert told["errors"] == {"overloaded_error": 2}
    assert told["retries"] == 2


def test_what_ran_beside_a_turn_is_a_helper_and_no_turn(tmp_path):
    """Claude Code asks for a title in parallel with a turn; when the turn is over first, it cancels the request."""
    path = str(tmp_path / "ledger.db")
    ledger = Ledger(path, "one", print)
    ledger.start()
    requests = [
        (0, 5, reading(usage=Usage(900, 50)), {}),  # a turn
        (6, 9, reading(usage=Usage(40, 5)), {}),  # a title, begun before the turn that it runs beside
        (7, 20, reading(usage=Usage(950, 50)), {}),
        (8, 21, Reading(), {"ending": Ending.CLIENT_GONE}),  # a helper that was cancelled
        (22, 25, reading(usage=Usage(10, 5)), {}),  # a small turn is a turn
    ]
    for number, (begin, end, read, more) in enumerate(requests, 1):
        ledger.open(opening(number, started_at=NOON + begin))
        ledger.close(closing(number, finished_at=NOON + end, reading=read, **more))
    ledger.stop()
    told = story(path, "s1")
    assert [turn["turn"] for turn in told["turns"]] == [1, None, 2, None, 3]
    assert [turn["helper"] for turn in told["turns"]] == [False, True, False, True, False]
    assert (told["helpers"], told["errors"], told["retries"]) == (2, {}, 0)


def test_subagents_are_a_tree_with_their_sums(path):
    [main] = story(path, "4f1c-a")["agents"]
    [first] = main["subagents"]
    [second] = first["subagents"]
    assert [each["agent"] for each in (main, first, second)] == [None, "a1", "a2"]
    assert [each["sums"]["input_tokens"] for each in (main, first, second)] == [60, 1, 2]
    assert second["sums"]["errors"] == 1
    assert first["sums"]["cost_usd"] > 0


def test_models_and_where_it_ran_are_told(path):
    told = story(path, "4f1c-a")
    assert {row["key"] for row in told["models"]} == {"claude-sonnet-4-5", "claude-haiku-4-5"}
    assert told["where"] == {"project": "sidecar", "repo": "github.com/a/b", "branch": "main", "client": "claude-cli"}


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({"a": None, "b": "a"}, {None: ["a"], "a": ["b"]}),
        ({"a": "gone", "b": None}, {None: ["a", "b"]}),
        ({"a": "b", "b": "a"}, {None: ["a", "b"]}),
        ({"a": "a", "b": "a"}, {None: ["a", "b"]}),
    ],
    ids=["a child below its parent", "a parent without requests", "a circle", "its own parent"],
)
def test_agents_hang_below_whoever_started_them(parents, expected):
    top = tree([{"key": None}, {"key": "a"}, {"key": "b"}], parents)
    below = {}

    def walk(nodes):
        for node in nodes:
            if node["subagents"]:
                below[node["agent"]] = [each["agent"] for each in node["subagents"]]
            walk(node["subagents"])

    walk(top)
    assert below == expected


def test_subagents_without_a_main_agent_stand_by_themselves():
    assert [node["agent"] for node in tree([{"key": "a"}, {"key": "b"}], {})] == ["a", "b"]


def test_the_beginning_of_a_name_is_enough_where_only_one_session_has_it(path):
    assert session_named(path, "4f1c-a") == "4f1c-a"
    assert session_named(path, "4") == "4", "a whole name beats longer ones"
    assert session_named(path, "nobody") == "nobody"
    with pytest.raises(UsageError, match="several sessions begin with '4f'") as refused:
        session_named(path, "4f")
    assert "4f1c-a, 4f1c-b" in refused.value.hint
    assert session_named(path, "4f1c-b") == session_named(path, "4f1c-b"[:6])
