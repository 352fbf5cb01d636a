"""Bodies: what is read from them, and that a replaced model leaves every other byte alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.wire.body import LARGE, Peek, peek, peek_at_ends, splice, top_level

READ = {
    "first key": (b'{"model":"a","stream":true}', ("a", True, None)),
    "spaces everywhere": (b' {\r\n"stream"\t: false , "model" : "a" } \n', ("a", False, None)),
    "escapes in the value": (rb'{"model":"cl\u0061ude"}', ("claude", None, None)),
    "escapes in the key": (rb'{"\u006dodel":"a"}', ("a", None, None)),
    "a user id": (b'{"metadata":{"user_id":"u"},"model":"a"}', ("a", None, "u")),
    "nested models are not the model": (b'{"tools":[{"model":"no"}],"metadata":{"model":"no"}}', (None, None, None)),
    "a model that is no string": (b'{"model":7,"stream":"yes"}', (None, None, None)),
    "a lone surrogate elsewhere": (rb'{"x":"\ud83d","model":"a"}', ("a", None, None)),
    "a repeated key elsewhere": (b'{"x":1,"x":2,"model":"a"}', ("a", None, None)),
}


@pytest.mark.parametrize(("body", "expected"), READ.values(), ids=READ)
def test_the_few_fields_are_read(body, expected):
    seen = peek(body)
    assert (seen.model, seen.stream, seen.user_id) == expected


NOT_ONE_OBJECT = {
    "empty": b"",
    "text": b"hello",
    "an array": b'["model"]',
    "a byte order mark": b'\xef\xbb\xbf{"model":"a"}',
    "UTF-16": '{"model":"a"}'.encode("utf-16"),
    "something behind it": b'{"model":"a"} x',
    "a trailing comma": b'{"model":"a",}',
    "NaN": b'{"model":"a","x":NaN}',
    "NaN, and a lone surrogate": rb'{"model":"a","x":NaN,"y":"\ud83d"}',
    "a leading zero": b'{"model":"a","x":01}',
    "a raw control character": b'{"model":"a","x":"\x01"}',
    "cut off": b'{"model":"a"',
    "nested too deep": b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", NOT_ONE_OBJECT.values(), ids=NOT_ONE_OBJECT)
def test_what_is_not_one_valid_object_has_no_fields(body):
    assert peek(body) == Peek()
    assert splice(body, "new") is None


@pytest.mark.parametrize(
    "body", [b'{"model":"a","model":"b"}', b'{"model":"b","x":"\xff"}', b'{"x":1}'], ids=["two models", "invalid UTF-8", "none"]
)
def test_what_is_not_certain_is_never_replaced(body):
    assert peek(body).model in {"b", None}
    assert splice(body, "new") is None


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b'{"model":"a","x":1.0e5}', b'{"model":"new/\xc3\xa9","x":1.0e5}'),
        (rb'{ "x" : "\/\u00e9" , "model" :  "a\"b"  }', rb'{ "x" : "\/\u00e9" , "model" :  ' + '"new/é"'.encode() + b"  }"),
        (b'{"messages":[{"model":"a"}],"model":"a"}', b'{"messages":[{"model":"a"}],"model":"new/\xc3\xa9"}'),
    ],
)
def test_only_the_string_is_replaced(body, after):
    assert b"".join(splice(body, "new/é")) == after


LONG = b'"messages":[{"text":"' + rb"\"stream\":false \\ \u00e9 \n" * LARGE + '→","model":"no","stream":1}]'.encode()
AT_ENDS = {
    "as Claude Code writes it": (b'{"model":"a",%b,"stream":true}', ("a", True, None)),
    "both in front": (b'{"model":"a","max_tokens":32000,"stream":false,%b}', ("a", False, None)),
    "spaces and escapes": (rb' {"x":-1.0e+5 , "\u006dodel" : "\"a\u0062" ,%b' + b' , "stream" :\ttrue } \n', ('"ab', True, None)),
    "all in front": (rb'{"metadata": {"n":null, "user_id":"{\"[u]\"}"},"model":"a","stream":true,%b}', ("a", True, '{"[u]"}')),
    "an object that holds another": (b'{"model":"a","metadata":{"user_id":"u","x":{}},%b,"stream":true}', ("a", True, None)),
}
NOT_AT_ENDS = {
    "no model in front": b'{%b,"model":"a","stream":true}',
    "no stream at all": b'{"model":"a",%b}',
    "stream in the middle": b'{"model":"a",%b,"stream":true,"metadata":{"user_id":"u"}}',
    "the end of a string": b'{"model":"a",%b,"x":",\\"stream":true}',
    "a model that is no string": b'{"model":1,%b,"stream":true}',
    "an array": b'[{"model":"a",%b,"stream":true}]',
    "a long model": b'{"model":"' + b"a" * LARGE + b'",%b,"stream":true}',
}


@pytest.mark.parametrize(("template", "expected"), AT_ENDS.values(), ids=AT_ENDS)
def test_a_large_body_says_at_its_ends_what_it_says_as_a_whole(template, expected):
    body = template.replace(b"%b", LONG)
    assert peek(body)[:2] == expected[:2]
    assert peek_at_ends(body) == peek_at_ends(bytearray(body)) == expected


@pytest.mark.parametrize("template", NOT_AT_ENDS.values(), ids=NOT_AT_ENDS)
def test_what_does_not_stand_at_the_ends_is_not_guessed(template):
    assert peek_at_ends(template.replace(b"%b", LONG)) is None


@pytest.mark.parametrize("template", [template for template, _ in AT_ENDS.values()], ids=AT_ENDS)
def test_of_a_large_body_too_only_the_string_is_replaced(template):
    body = template.replace(b"%b", LONG)
    (start, end) = next((start, end) for name, start, end in top_level(body) if name == "model")
    assert b"".join(splice(body, "new")) == body[:start] + b'"new"' + body[end:]


@pytest.mark.parametrize(
    "between",
    [b'"x":[1,]', b'"x":"\xff"', b'"model":"b","x":[]', b'"model":"b"'],
    ids=["invalid", "no UTF-8", "a model in the middle", "a model at the end"],
)
def test_of_a_large_body_with_a_fault_in_the_middle_the_first_model_is_replaced(between):
    rest = b'",' + LONG + b"," + between + b',"stream":true}'
    assert b"".join(splice(b'{"model":"a' + rest, "new")) == b'{"model":"new' + rest


@pytest.mark.parametrize("template", NOT_AT_ENDS.values(), ids=NOT_AT_ENDS)
def test_a_large_body_is_looked_through_where_its_ends_do_not_tell(template):
    body = template.replace(b"%b", LONG + b',"x":[1,]')
    assert splice(body, "new") is None


@pytest.mark.parametrize(
    "template",
    [b'{"model":"a","model":"b",%b,"stream":true}', b'{"model":"\\x",%b,"stream":true}', b'{"model":"a",%b,"stream":true'],
    ids=["two models in front", "an invalid model", "cut off"],
)
def test_faults_at_the_ends_of_a_large_body_are_seen(template):
    assert splice(template.replace(b"%b", LONG), "new") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("model"), inner, max_size=4),
    max_leaves=12,
)


@given(
    before=st.dictionaries(st.text().filter(lambda name: name != "model"), JSON, max_size=4),
    model=st.text(),
    new=st.text().filter(lambda text: text.isprintable()),
    after=st.dictionaries(st.text().filter(lambda name: name != "model"), JSON, max_size=4),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
)
def test_any_object_changes_in_its_model_alone(before, model, new, after, indent, ascii_only):
    members = [*before.items(), ("model", model), *after.items()]
    text = "{" + ",".join(f"{json.dumps(n)}:{json.dumps(v, indent=indent, ensure_ascii=ascii_only)}" for n, v in members) + "}"
    try:
        body = text.encode()
    except UnicodeEncodeError:  # a lone surrogate written as it is: not UTF-8
        return
    assert peek(body).model == model
    (start, end) = next((start, end) for name, start, end in top_level(body) if name == "model")
    spliced = splice(body, new)
    assert spliced is not None
    assert splice(bytearray(body), new) == spliced
    spliced = b"".join(spliced)
    assert spliced[:start] == body[:start]
    assert spliced[len(spliced) - (len(body) - end) :] == body[end:]
    assert json.loads(spliced)["model"] == new


@given(st.binary())
def test_any_bytes_are_either_an_object_or_left_alone(body):
    extents = top_level(body)
    try:
        expected = json.loads(body.decode(), parse_constant=lambda _name: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        expected = None
    assert (extents is not None) == isinstance(expected, dict)


@given(
    members=st.dictionaries(st.sampled_from(["model", "stream", "metadata", "x"]) | st.text(), JSON, max_size=6),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
)
def test_what_the_ends_of_any_object_say_the_whole_says_too(members, indent, ascii_only):
    try:
        body = json.dumps(members, indent=indent, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # a lone surrogate written as it is: not UTF-8
        return
    seen = peek_at_ends(body)
    if isinstance(members.get("model"), str) and isinstance(members.get("stream"), bool):
        assert seen is None or (seen.model, seen.stream) == (members["model"], members["stream"])
        assert seen is None or seen.user_id in {None, peek(body).user_id}
    else:
        assert seen is None


def test_what_is_no_utf8_far_behind_is_found():
    body = b'{"model":"a","x":"' + "é".encode() * 40_000
    assert splice(body + b'"}', "new") is not None
    assert splice(body + b'\xc3"}', "new") is None
    assert splice(body[:-1], "new") is None
