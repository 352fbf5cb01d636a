"""Bodies: what is read from them, and that a replaced model leaves every other byte alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.wire import body as body_module
from sidecar.wire.body import LONGEST_VALUE, Peek, peek, splice, top_level

READ = {
    "first key": (b'{"model":"a","stream":true}', ("a", True, None)),
    "spaces everywhere": (b' {\r\n"stream"\t: false , "model" : "a" } \n', ("a", False, None)),
    "escapes in the value": (rb'{"model":"cl\u0061ude"}', ("claude", None, None)),
    "escapes in the key": (rb'{"\u006dodel":"a"}', ("a", None, None)),
    "a user id": (b'{"metadata":{"user_id":"u"},"model":"a"}', ("a", None, "u")),
    "nested models are not the model": (b'{"tools":[{"model":"no"}],"metadata":{"model":"no"}}', (None, None, None)),
    "a model that is no string": (b'{"model":7,"stream":"yes"}', (None, None, None)),
    "a lone surrogate elsewhere": (rb'{"x":"\ud83d","model":"a"}', ("a", None, None)),
    "a surrogate pair": (rb'{"x":"\ud83d\ude00","model":"a"}', ("a", None, None)),
    "a lone surrogate in the model": (rb'{"model":"a\ud83d"}', ("a\ufffd", None, None)),
    "a very long model": (b'{"model":"' + b"a" * LONGEST_VALUE + b'","stream":true}', (None, True, None)),
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


#: What a large body holds beside the few fields: text with quotation marks, escapes, and members of the same names further down.
LONG = b'"messages":[{"text":"' + rb"\"stream\":false \\ \u00e9 \n" * 3000 + '→","model":"no","stream":1}]'.encode()
ORDERS = {
    "model first": (b'{"model":"a",%b,"stream":true}', ("a", True, None)),
    "model last": (b'{"stream":true,%b,"model":"a"}', ("a", True, None)),
    "all behind": (rb'{%b,"metadata": {"n":null, "user_id":"{\"[u]\"}"},"stream":false,"model":"a"}', ("a", False, '{"[u]"}')),
    "spaces and escapes": (rb' {"x":-1.0e+5 , "\u006dodel" : "\"a\u0062" ,%b' + b' , "stream" :\ttrue } \n', ('"ab', True, None)),
    "no stream": (b'{%b,"model":"a"}', ("a", None, None)),
}


@pytest.mark.parametrize(("template", "expected"), ORDERS.values(), ids=ORDERS)
def test_a_large_body_is_read_and_spliced_in_any_order_of_its_fields(template, expected):
    body = template.replace(b"%b", LONG)
    assert peek(body) == peek(bytearray(body)) == expected
    (start, end) = next((start, end) for name, start, end in top_level(body) if name == "model")
    assert b"".join(splice(body, "new")) == body[:start] + b'"new"' + body[end:]


UNCERTAIN = {
    "two models": b'{"model":"a",%b,"model":"b"}',
    "two models, one escaped": b'{"model":"a",%b,"\\u006dodel":"b"}',
    "a hole in an array": b'{"model":"a",%b,"x":[1,]}',
    "a bare word": b'{"model":"a",%b,"x":[oops]}',
    "a number with a zero in front": b'{"model":"a",%b,"x":01}',
    "a raw line end in a string": b'{"model":"a",%b,"x":"a\nb"}',
    "an unknown escape": b'{"model":"a",%b,"x":"\\q"}',
    "invalid UTF-8": b'{"model":"a",%b,"x":"\xff\xfe"}',
    "a second object": b'{"model":"a",%b}{"x":1}',
    "cut off": b'{"model":"a",%b',
    "an array": b'[{"model":"a",%b}]',
}


@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize("template", UNCERTAIN.values(), ids=UNCERTAIN)
def test_what_is_not_one_valid_object_with_one_model_stays_as_it_is_at_every_size(template, size):
    assert splice(template.replace(b"%b", b'"pad":"' + b"x" * 4000 * size + b'"'), "new") is None
    assert splice(template.replace(b"%b", LONG), "new") is None


def test_a_repeated_name_beside_the_model_is_walked_exactly_up_to_a_size(monkeypatch):
    body = b'{"x":1,"x":2,"model":"a"}'
    assert b"".join(splice(body, "new")) == b'{"x":1,"x":2,"model":"new"}'
    monkeypatch.setattr(body_module, "LARGEST_WITH_REPEATS", len(body) - 1)
    assert splice(body, "new") is None


def test_halves_of_an_emoji_do_not_hinder_a_splice():
    body = rb'{"x":"\ud83d","model":"a","y":"\\ud83d"}'
    assert b"".join(splice(body, "new")) == rb'{"x":"\ud83d","model":"new","y":"\\ud83d"}'


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


def test_what_is_no_utf8_far_behind_is_found():
    body = b'{"model":"a","x":"' + "é".encode() * 40_000
    assert splice(body + b'"}', "new") is not None
    assert splice(body + b'\xc3"}', "new") is None
    assert splice(body[:-1], "new") is None
