"""YAML text to values and places: nothing surprises, nothing is lost, nothing crashes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.document import MAX_VALUES, Fault, read


def test_values_keep_their_keys_as_written_and_lists_become_tuples():
    assert read("a: [x, {no: y}]\n1:30: z").values == {"a": ("x", {"no": "y"}), "1:30": "z"}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_text_has_no_values_and_no_fault(text):
    document = read(text)
    assert document.values == {}
    assert document.faults == []


def test_every_key_and_value_has_its_line_and_column():
    document = read("gateway: vercel\ngateways:\n  edgee:\n    tags: [a, bé, c]\n")
    assert document.place(("gateway",)) == (1, 10)
    assert document.place(("gateways", "edgee"), of_key=True) == (3, 3)
    assert document.place(("gateways", "edgee", "tags", 2)) == (4, 19)


def test_what_is_missing_is_found_at_the_key_around_it():
    assert read("gateways:\n  corp: {}").place(("gateways", "corp", "base_url")) == (2, 3)


def test_a_byte_order_mark_does_not_shift_the_first_line():
    assert read("\ufeffgateway: x").place(("gateway",)) == (1, 10)


def test_every_duplicate_key_is_named():
    document = read("a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n")
    assert document.faults == [
        Fault((2, 11), ("b", "c"), "given twice (first on line 2)"),
        Fault((3, 1), ("a",), "given twice (first on line 1)"),
        Fault((4, 1), ("a",), "given twice (first on line 1)"),
    ]


def test_anchors_and_merge_keys_work_and_own_keys_win():
    document = read("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 0}\nw: *y")
    assert document.faults == []
    assert document.values["z"] == {"a": 0, "b": 1, "c": 2}
    assert document.values["w"] == {"b": 2, "c": 2}
    assert document.place(("z", "c")) == (2, 17)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("a: b\n\tc: d", (2, 1), "tab"),
        ("a:\n  b: 1\n \tc: d", (3, 2), "tab"),
        ("a: [1,\n", (2, 1), "not YAML"),
        ("a: 1\n b: 2", (2, 3), "not YAML"),
        ("a: *x", (1, 4), "undefined alias"),
        ("a: 1\n---\nb: 2", (2, 1), "another document"),
        ("a: b\x00", (1, 5), "U+0000"),
        ("a: 1\nb: \ud800", (2, 4), "U+D800"),
        ("? [a]\n: b", (1, 3), "plain text"),
        ("a: !secret x", (1, 4), "quotes"),
        ("a: !thing {b: 1}", (1, 4), "!thing"),
        ("a: 2024-13-45", (1, 4), "quotes"),
        ("a: {<<: 3}", (1, 9), "<<"),
        ("a: =", (1, 4), "quotes"),
        ("a: " + "1:" * 300_000 + "1", (1, 4), "quotes"),
        ("a: " + "1" * 100 + ".5", (1, 4), "quotes"),
    ],
)
def test_a_fault_says_where(text, place, says):
    (fault,) = read(text).faults
    assert fault.place == place
    assert says in fault.what


MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 20))
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in pairwise("abcdefgh"))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 100_000, "- " * 5_000, "&a [*a]", "&a {<<: *a}", "&a {b: *a}", LAUGHS, MERGES],
    ids=["brackets", "braces", "dashes", "list in itself", "merged with itself", "mapping in itself", "billion laughs", "billion merges"],
)
def test_a_text_without_end_is_a_fault(text):
    assert len(read(text).faults) == 1


def test_faults_have_an_end_too():
    found = read("a: 1\n" * 2 * MAX_VALUES).faults
    assert len(found) <= MAX_VALUES
    assert "values" in found[-1].what


@given(st.text(alphabet=st.sampled_from("ab:-?[]{}&*!|>'\"%@`#,<= \n\t0123\\\r\x85\ufeff~é.")))
def test_no_text_raises(text):
    read(text)
