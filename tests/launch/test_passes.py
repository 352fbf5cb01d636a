from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.launch.passes import PREFIX, Pass, check, health_proof, is_label, mint

KEY = bytes(range(32))
NOW = 1_790_000_000
FULL = Pass("r1", NOW + 60, gateway="vercel", session="s", tags=("a", "b"), project="p", repo="github.com/o/r", branch="main")

texts = st.none() | st.text(min_size=1, max_size=40)


@given(
    run=st.text(max_size=20),
    scope=st.sampled_from(["agent", "control"]),
    labels=st.fixed_dictionaries(dict.fromkeys(("gateway", "session", "project", "repo", "branch"), texts)),
    tags=st.lists(st.text(min_size=1, max_size=20), max_size=5),
)
def test_what_was_minted_is_what_is_read(run, scope, labels, tags):
    pass_ = Pass(run, NOW + 1, scope=scope, tags=tuple(tags), **labels)
    assert check(KEY, mint(KEY, pass_), NOW) == pass_


def test_a_pass_is_one_word_with_the_prefix():
    text = mint(KEY, FULL)
    assert text.startswith("sidecar-pass-")
    assert not set(text) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_fields_that_are_empty_take_no_room():
    payload = json.loads(base64.urlsafe_b64decode(mint(KEY, Pass("r", NOW)).removeprefix(PREFIX).partition(".")[0] + "=="))
    assert list(payload) == ["v", "run", "scope", "expires"]


def test_it_ends_at_its_second():
    assert check(KEY, mint(KEY, FULL), NOW + 59.9) == FULL
    assert check(KEY, mint(KEY, FULL), NOW + 60) is None


def test_every_shorter_text_is_refused():
    text = mint(KEY, FULL)
    assert all(check(KEY, text[:length], NOW) is None for length in range(len(text)))


def test_every_changed_character_is_refused():
    text = mint(KEY, FULL)
    assert all(check(KEY, text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], NOW) is None for at in range(len(text)))


@given(st.text(max_size=200))
def test_any_text_is_answered_without_an_exception(text):
    assert check(KEY, text, NOW) is None
    assert check(KEY, PREFIX + text, NOW) is None


def test_another_key_makes_another_pass():
    assert check(KEY[::-1], mint(KEY, FULL), NOW) is None


@pytest.mark.parametrize("text", ["", ".", PREFIX, PREFIX + ".", "x" * 20_000])
def test_what_is_no_pass_is_refused(text):
    assert check(KEY, text, NOW) is None


@pytest.mark.parametrize("ending", ["=", "==", " ", "\n"])
def test_a_second_spelling_of_a_good_pass_is_refused(ending):
    assert check(KEY, mint(KEY, FULL) + ending, NOW) is None


def signed(payload: bytes, prefix: str = PREFIX) -> str:
    text = prefix + base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    return text + "." + base64.urlsafe_b64encode(hmac.digest(KEY, text.encode(), "sha256")).rstrip(b"=").decode()


GOOD = {"v": 1, "run": "r", "scope": "agent", "expires": NOW + 60}


def test_the_helper_below_signs_as_we_do():
    assert check(KEY, signed(json.dumps(GOOD).encode()), NOW) == Pass("r", NOW + 60)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"run": 1},
        {"scope": "root"},
        {"expires": "9999999999"},
        {"expires": True},
        {"tags": "a"},
        {"tags": [1]},
        {"session": ["s"]},
    ],
    ids=str,
)
def test_a_signed_payload_of_the_wrong_types_is_refused(change):
    assert check(KEY, signed(json.dumps(GOOD | change).encode()), NOW) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"nonsense", b"\xff\xfe", b"[" * 3000])
def test_a_signed_payload_that_is_no_object_is_refused(payload):
    assert check(KEY, signed(payload), NOW) is None


def test_a_good_payload_under_another_prefix_is_refused():
    assert check(KEY, signed(json.dumps(GOOD).encode(), "sidecar-other-"), NOW) is None


def test_a_health_proof_differs_by_nonce_and_key():
    assert len({health_proof(KEY, "a"), health_proof(KEY, "b"), health_proof(KEY[::-1], "a")}) == 3


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("tag", True),
        ("zwölf", True),
        ("x" * 256, True),
        ("x" * 257, False),
        ("a\nb", False),
        ("a\x7f", False),
        ("\x85", False),
        ("\udc80", False),
    ],
)
def test_a_label_is_short_and_holds_no_control_character(text, fits):
    assert is_label(text) is fits


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "tags", "gateway", "session"]) | st.text(max_size=3), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "tags", "gateway", "session"]), JSON).map(lambda change: GOOD | change) | JSON)
def test_whatever_was_signed_with_the_key_is_a_pass_or_none(payload):
    pass_ = check(KEY, signed(json.dumps(payload).encode()), NOW)
    assert pass_ is None or (payload["v"] == 1 and pass_.scope in {"agent", "control"} and pass_.expires > NOW)


@given(st.integers(0, 1000), st.text(max_size=3), st.integers(0, 3))
def test_a_pass_with_a_change_is_refused_unless_it_is_the_same_text(where, new, replaced):
    text = mint(KEY, FULL)
    at = len(text) * where // 1000
    changed = text[:at] + new + text[at + replaced :]
    assert check(KEY, changed, NOW) == (FULL if changed == text else None)
