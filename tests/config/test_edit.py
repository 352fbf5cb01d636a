"""`sidecar use` changes one scalar, or adds one line, and no other byte."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.config import document
from sidecar.config.edit import CannotEdit, with_entry, with_gateway


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("gateway: vercel\n", "gateway: edgee\n"),
        ("gateway: vercel", "gateway: edgee"),
        ("gateway:   vercel   # the cheap one\ntags: [a]\n", "gateway:   edgee   # the cheap one\ntags: [a]\n"),
        ("gateway: 'vercel'\n", "gateway: 'edgee'\n"),
        ('"gateway": "vercel"\n', '"gateway": "edgee"\n'),
        ("tags: [a]\r\ngateway: vercel\r\nhosts: []\r\n", "tags: [a]\r\ngateway: edgee\r\nhosts: []\r\n"),
        ("\ufeffgateway: vercel\n", "\ufeffgateway: edgee\n"),
        ("# é 🚀\ngateway: vercel # é\n", "# é 🚀\ngateway: edgee # é\n"),
        ("{gateway: vercel, tags: [x]}", "{gateway: edgee, tags: [x]}"),
        ('{\n  "tags": ["x"],\n  "gateway" : "vercel"\n}\n', '{\n  "tags": ["x"],\n  "gateway" : "edgee"\n}\n'),
        (
            "gateways: {corp: {base_url: https://x.example}}\ngateway: vercel",
            "gateways: {corp: {base_url: https://x.example}}\ngateway: edgee",
        ),
        ("gateway: >-\n  vercel\n\ntags: [a]\n", "gateway: edgee\n\ntags: [a]\n"),
        ("gateway:\n  vercel\ntags: [a]\n", "gateway:\n  edgee\ntags: [a]\n"),
        ("gateway:\ntags: [a]\n", "gateway: edgee\ntags: [a]\n"),
        ("gateway: &g vercel\ntags: [*g]\n", None),
        ("tags: [&g vercel]\ngateway: *g\n", "tags: [&g vercel]\ngateway: edgee\n"),
        ("gateway: !!str vercel\n", "gateway: !!str edgee\n"),
        ("---\ngateway: vercel\n...\n", "---\ngateway: edgee\n...\n"),
    ],
)
def test_the_scalar_is_replaced_where_it_stands(before, after):
    if after is None:
        with pytest.raises(CannotEdit):
            with_gateway(before, "edgee")
    else:
        assert with_gateway(before, "edgee") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "gateway: edgee\n"),
        ("# mine\n", "# mine\ngateway: edgee\n"),
        ("# mine", "# mine\ngateway: edgee\n"),
        ("tags: [a]\n", "gateway: edgee\ntags: [a]\n"),
        ("# head\n\n# why\n# so\ntags: [a]\n", "# head\n\ngateway: edgee\n# why\n# so\ntags: [a]\n"),
        (
            "listen: 127.0.0.1:1\n# mine\ngateways:\n  # a\n  x: {}\n",
            "listen: 127.0.0.1:1\ngateway: edgee\n# mine\ngateways:\n  # a\n  x: {}\n",
        ),
        ("tags: [a]\r\ngateways: {}\r\n", "tags: [a]\r\ngateway: edgee\r\ngateways: {}\r\n"),
        ("---\ntags: [a]\n", "---\ngateway: edgee\ntags: [a]\n"),
        ("  tags: [a]\n  hosts: []\n", "  gateway: edgee\n  tags: [a]\n  hosts: []\n"),
        ("{}", '{"gateway": "edgee"}'),
        ('{"tags": ["a"]}', '{"gateway": "edgee", "tags": ["a"]}'),
        ('{\n  "tags": ["a"]\n}\n', '{\n  "gateway": "edgee",\n  "tags": ["a"]\n}\n'),
        ("x: &x {gateway: vercel}\n<<: *x\n", "gateway: edgee\nx: &x {gateway: vercel}\n<<: *x\n"),
    ],
)
def test_a_line_is_added_where_there_is_none(before, after):
    assert with_gateway(before, "edgee") == after


@pytest.mark.parametrize("name", ["no", "1_0", "null", "0x1f", "on"])
def test_a_name_that_yaml_would_misread_is_quoted(name):
    assert with_gateway("gateway: vercel\n", name) == f'gateway: "{name}"\n'


@pytest.mark.parametrize("text", ["[a]", "text", "~", "gateway: [a]\n", "gateway: {a: b}\n", "? tags\n: [a]\n", "# x\n---\n...\n"])
def test_a_layout_that_cannot_be_edited_safely_is_refused(text):
    with pytest.raises(CannotEdit):
        with_gateway(text, "edgee")


COMMENTS = st.sampled_from(["", "# note\n", "\n", "# é\n\n# gateway: old\n", "  # indented\n"])
OTHERS = st.sampled_from(
    ["tags: [a, 'b # c']", "limits: {body: 32MiB}", "gateways:\n  corp:\n    # gateway: x\n    tags: [gateway]", "log:\n  level: info"]
)
# How the entry is written, then how the name stands in it before and after.
ENTRIES = st.sampled_from(
    [
        ("gateway: {}", "vercel", "edgee"),
        ("gateway: {} # why", "'vercel'", "'edgee'"),
        ('"gateway" : {}', '"vercel"', '"edgee"'),
        ("gateway:\n  {}", "vercel", "edgee"),
        ("gateway: !!str {}", "vercel", "edgee"),
        ("gateway: {}", "*name", "edgee"),
    ]
)
LAYOUT = {
    "others": st.lists(OTHERS, unique=True, max_size=4),
    "comments": st.lists(COMMENTS, min_size=6, max_size=6),
    "line_break": st.sampled_from(["\n", "\r\n"]),
    "mark": st.sampled_from(["", "\ufeff"]),
}


def laid_out(lines, comments, line_break, mark):
    text = "".join(f"{comment}{line}\n" for comment, line in zip(comments, lines, strict=False))
    return mark + text.replace("\n", line_break)


@given(entry=ENTRIES, at=st.integers(1, 5), **LAYOUT)
def test_every_byte_but_the_scalar_s_stays(entry, at, others, **layout):
    written, before, after = entry
    lines = ["hosts: [&name vercel]", *others]
    old, new = ([*lines[:at], written.format(name), *lines[at:]] for name in (before, after))
    assert with_gateway(laid_out(old, **layout), "edgee") == laid_out(new, **layout)


@given(**LAYOUT)
def test_an_added_line_is_all_that_differs(others, **layout):
    text = laid_out(["hosts: [vercel]", *others], **layout)
    edited = with_gateway(text, "edgee")
    assert edited.replace(f"gateway: edgee{layout['line_break']}", "", 1) == text


@example("{gateway: [}")
@given(st.text(alphabet=st.sampled_from("gateway: \n{}[]#'\"&*!|>-?,\r~")))
def test_any_text_is_edited_rightly_or_refused(text):
    found = document.read(text)
    if found.faults:
        return
    try:
        edited = with_gateway(text, "edgee")
    except CannotEdit:
        return
    assert document.read(edited).values == {**found.values, "gateway": "edgee"}


URL = "http://[::1]:4000"
ENTRY = f'"litellm": {{"base_url": "{URL}"}}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"gateways:\n  litellm:\n    base_url: {URL}\n"),
        ("# mine", f"# mine\ngateways:\n  litellm:\n    base_url: {URL}\n"),
        ("gateway: vercel\n", f"gateway: vercel\ngateways:\n  litellm:\n    base_url: {URL}\n"),
        (
            "gateway: vercel\r\n# end",
            f"gateway: vercel\r\n# end\r\ngateways:\r\n  litellm:\r\n    base_url: {URL}\r\n",
        ),
        ("  tags: [a]\n", f"  tags: [a]\n  gateways:\n    litellm:\n      base_url: {URL}\n"),
        ("gateways: {}\n", f"gateways: {{{ENTRY}}}\n"),
        ("gateways:  # none yet\ntags: [a]\n", f"gateways:  # none yet\n  litellm:\n    base_url: {URL}\ntags: [a]\n"),
        ("gateways:", f"gateways:\n  litellm:\n    base_url: {URL}\n"),
        (
            "gateways:\n    # mine\n    corp:\n        base_url: https://x.example\n",
            f"gateways:\n    litellm:\n      base_url: {URL}\n    # mine\n    corp:\n        base_url: https://x.example\n",
        ),
        ("gateways: {vercel: {}}  # one\n", f"gateways: {{{ENTRY}, vercel: {{}}}}  # one\n"),
        ('{"tags": ["a"]}', f'{{"gateways": {{{ENTRY}}}, "tags": ["a"]}}'),
        ("\ufeffgateway: vercel\n", f"\ufeffgateway: vercel\ngateways:\n  litellm:\n    base_url: {URL}\n"),
        ("---\ngateway: vercel\n...\n", f"---\ngateway: vercel\ngateways:\n  litellm:\n    base_url: {URL}\n...\n"),
    ],
)
def test_a_gateway_is_added_where_the_others_stand(before, after):
    assert with_entry(before, "litellm", URL) == after


@pytest.mark.parametrize("text", ["[a]", "gateways: [a]\n", "gateways: text\n", "x: &x {a: {}}\ngateways: *x\n", "gateways: !!map\n  {}\n"])
def test_where_a_gateway_cannot_be_added_safely_it_is_said(text):
    try:
        edited = with_entry(text, "litellm", URL)
    except CannotEdit:
        return
    assert document.read(edited).values == {"gateways": {"litellm": {"base_url": URL}}}


@given(**LAYOUT)
def test_an_added_gateway_is_all_that_differs(others, **layout):
    text = laid_out(["hosts: [vercel]", *others], **layout)
    edited = with_entry(text, "litellm", URL)
    added = [line for line in edited.splitlines() if line not in text.splitlines()]
    assert {line.strip() for line in added} <= {"gateways:", "litellm:", f"base_url: {URL}"}
    assert [line for line in edited.splitlines() if line not in added] == text.splitlines()


@given(st.text(alphabet=st.sampled_from("gateways: \n{}[]#'\"&*!|>-?,\r~")))
def test_a_gateway_is_added_rightly_to_any_text_or_not_at_all(text):
    found = document.read(text)
    if found.faults:
        return
    try:
        edited = with_entry(text, "litellm", URL)
    except CannotEdit:
        return
    assert document.read(edited).values["gateways"]["litellm"] == {"base_url": URL}
