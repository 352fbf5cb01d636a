"""It has to be `json`, only leaner: compared with it, on what is JSON and on what is not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.launch import lean_json

texts = st.text(st.characters(exclude_categories=[]))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
WRONG = (b"", b" ", b"{", b"[1,", b'"abc', b'{"a" 1}', b"nul", b"{} {}", b"[1]x", b'"\xff"', b"[" * 100_000, b'"a\nb"', b"\x00")


@given(plain)
def test_texts_are_those_of_json(value):
    assert lean_json.dumps(value) == json.dumps(value, separators=(",", ":"))
    assert lean_json.dumps((value,)) == json.dumps([value], separators=(",", ":"))


@given(plain | st.floats(allow_nan=False) | st.lists(st.floats(allow_nan=False)), st.sampled_from([None, 1]))
def test_values_are_those_of_json(value, indent):
    assert lean_json.loads(f"\r\n{json.dumps(value, indent=indent)}\t ".encode()) == value


@given(st.binary(max_size=60) | plain.map(lambda value: json.dumps(value).encode()[:-1]))
def test_whatever_comes_the_two_agree(data):
    assert outcome(lean_json.loads, data) == outcome(json.loads, data)


def outcome(loads, data):
    try:
        return repr(loads(data))
    except (ValueError, RecursionError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("data", WRONG, ids=lambda data: repr(data[:10]))
def test_what_is_wrong_is_a_fault_of_the_value_also_where_json_was_never_imported(data):
    assert outcome(lean_json.loads, data) == outcome(json.loads, data)
    script = """
from sidecar.launch import lean_json
import sys
assert "json" not in sys.modules
try:
    lean_json.loads(sys.stdin.buffer.read())
except (ValueError, RecursionError):
    print("fault")
"""
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True)
    assert done.stdout == b"fault\n"


def test_what_has_no_text_is_named():
    with pytest.raises(TypeError, match="float"):
        lean_json.dumps({"a": [1.5]})
