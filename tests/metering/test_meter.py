"""What the transcripts do not say: other kinds of reply, limits, and that nothing can make the meter raise."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.ledger.entry import Kind
from sidecar.metering import meter as meter_module
from sidecar.metering.meter import Meter
from sidecar.metering.reading import Reading, Usage, UsageSource
from sidecar.wire.target import call_of

MESSAGE = b'{"id":"msg_1","type":"message","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}'
ENVELOPE = b'{"type":"error","error":{"type":"not_found_error","message":"no"}}'


def read(body: bytes, kind: Kind = Kind.INFERENCE, coding: str | None = None, path: str = "/v1/messages") -> Reading:
    meter = Meter(kind, coding, call_of("POST", path).protocol)
    meter.feed(body)
    return meter.reading()


@pytest.mark.parametrize("kind", [Kind.COUNT, Kind.OTHER])
def test_replies_that_are_no_messages_have_no_tokens(kind):
    assert read(b'{"input_tokens": 14}', kind) == Reading()
    assert read(MESSAGE, kind) == Reading(is_unmetered=kind is Kind.OTHER)


@pytest.mark.parametrize("kind", [Kind.COUNT, Kind.OTHER])
def test_but_their_errors_have_a_type(kind):
    assert read(ENVELOPE, kind) == Reading(failed=True, error_type="not_found_error")
    assert read(gzip.compress(ENVELOPE), kind, "gzip") == Reading(failed=True, error_type="not_found_error")


@pytest.mark.parametrize("kind", [Kind.COUNT, Kind.OTHER])
def test_an_error_event_among_others_is_found_wherever_no_message_is_due(kind):
    other = b'data: {"a":1}\n\n'
    assert read(other, kind) == Reading()
    assert read(other + b"data: " + ENVELOPE + b"\n\n" + other, kind) == Reading(failed=True, error_type="not_found_error")
    assert read(b'data: {"success":false,"errors":[{"code":7}]}\n\n', kind) == Reading(failed=True, error_type="7")


@pytest.mark.parametrize("body", [b"<html>", b"\x00\x01" * 500_000, b'{"data":[', b"a,b,c\n1,2,3\n"])
def test_what_is_no_message_may_be_anything(body):
    assert read(body, Kind.OTHER) == Reading()


@pytest.mark.parametrize(
    "body", [b'{"usage":{"total_tokens":3}}', b'{"usageMetadata":{"promptTokenCount":1}}', b'data: {"usage":{"input_tokens":3}}\n\n']
)
def test_usage_that_nobody_reads_is_noticed(body):
    meter = Meter(Kind.OTHER, None, None)
    meter.feed(body)
    assert meter.reading() == Reading(is_unmetered=True)


@pytest.mark.parametrize("body", [b'{"usage":{}}', b'{"usage":"3 tokens"}', b'{"usage":{"seats":3}}', b'{"tokens":3}', b""])
def test_what_is_no_usage_is_not(body):
    meter = Meter(Kind.OTHER, None, None)
    meter.feed(body)
    assert not meter.reading().is_unmetered


def test_embeddings_have_no_output():
    body = b'{"object":"list","data":[],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}'
    assert read(body, path="/v1/embeddings").usage == Usage(input=8, output=0)


INFERENCE = ("/v1/messages", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/responses")


@pytest.mark.parametrize("path", INFERENCE)
def test_every_path_of_inference_has_a_reader(path):
    message = b'{"type":"message","object":"response","choices":[],"usage":{"cost":1}}'
    assert read(message, path=path) == Reading(finished=True, reported_cost_usd=1.0)
    assert read(ENVELOPE, path=path).error_type == "not_found_error"
    assert read(b"<html>", path=path).error_type == "not_json"


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_white_space_is_an_empty_reply(body):
    assert read(body) in (Reading(empty=True), Reading())


@pytest.mark.parametrize(
    "body", [b'{"type":"message",}', b"{]", b"[" * 100_000 + b"]" * 100_000, b"{} trailing", b"null and void", b"dat a"]
)
def test_what_begins_like_json_and_is_none_is_refused(body):
    assert read(body).error_type == "not_json"


@pytest.mark.parametrize("path", INFERENCE)
@pytest.mark.parametrize(
    "body", [b"{}", b'{"ok":true}', b'{"detail":"Not Found"}', b"[]", b"[{}]", b"null", b"7", b'"fine"', b'{"type":"ping"}']
)
def test_json_that_is_no_message_of_the_protocol_is_an_error(path, body):
    assert read(body, path=path) == Reading(failed=True, error_type="not_a_message")
    padded = b'{"pad":"%b"}' % (b"x" * 100_000)
    assert read(padded, path=path) == Reading(failed=True, error_type="not_a_message")


@pytest.mark.parametrize("brackets", [b"{}", b"[]", b"0"])
def test_a_large_message_is_read_whatever_it_is_padded_with(brackets):
    pad = b"[" + brackets * 1 + (b"," + brackets) * 200_000 + b"]"
    assert read(MESSAGE[:-1] + b',"x":' + pad + b"}") == read(MESSAGE)
    assert read(b'{"x":' + pad + b"," + MESSAGE[1:]) == read(MESSAGE)


@pytest.mark.parametrize(
    ("body", "reading"),
    [
        (MESSAGE, Reading(failed=True, error_type="not_json")),
        (MESSAGE[:-1], Reading()),
        (MESSAGE[:-1] + b',"x":"\\ud83d', Reading()),
        (MESSAGE[:-1] + b',"x":1.', Reading()),
    ],
    ids=["garbage behind it", "cut", "cut behind half an emoji", "cut in a number"],
)
@pytest.mark.parametrize("size", [10, 200_000])
def test_what_is_cut_short_is_told_from_garbage_at_every_size(body, reading, size):
    tail = b" x" if reading.failed else b""
    assert read(b'{"x":"%b",' % (b'\\"' * size) + body[1:] + tail) == reading


def test_more_events_at_once_than_anybody_sends_are_given_up():
    meter = Meter(Kind.INFERENCE, None)
    meter.feed(b"data: x\n\n" * (meter_module.EVENTS_AT_ONCE + 1))
    assert meter.reading().gave_up == "more than 20000 events at once"


def test_a_reply_that_unfolds_too_far_at_once_is_given_up():
    bomb = gzip.compress(b'{"a":"' + b" " * meter_module.DECODED_AT_ONCE + b'"}')
    assert read(bomb, coding="gzip").gave_up == "decoded to more than 16777216 bytes at once"


def test_a_message_larger_than_the_limit_is_given_up_not_refused(monkeypatch):
    monkeypatch.setattr(meter_module, "BODY_LIMIT", 50)
    reading = read(MESSAGE)
    assert (reading.failed, reading.finished, reading.gave_up) == (False, False, "a body of more than 50 bytes")


@given(st.binary(max_size=400), st.sampled_from([None, "gzip", "deflate", "br", "zstd", "gzip, br", "x"]), st.sampled_from(INFERENCE))
def test_no_bytes_make_the_meter_raise(data, coding, path):
    for start in (b"", b"data: ", b"event: message_delta\ndata: ", b'{"type":"message","usage":'):
        meter = Meter(Kind.INFERENCE, coding, call_of("POST", path).protocol)
        meter.feed(start + data)
        meter.feed(data)
        assert not meter.reading().finished


NAMES = ("type", "id", "code", "status", "error", "message", "delta", "content", "response", "choices")
NAMES += ("usage", "input_tokens", "output_tokens", "prompt_tokens", "prompt_tokens_details", "cached_tokens", "iterations", "cost")
NAMES += ("completion_tokens", "total_tokens", "completion_tokens_details", "reasoning_tokens", "cache_creation", "ttl_12h_tokens")
NAMES += ("x_groq", "tool_usage", "web_search", "server_tool_use", "cost_details", "upstream_inference_cost", "cost_in_usd_ticks")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                NAMES,
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES, VALUES, st.sampled_from(INFERENCE))
def test_no_json_makes_the_meter_raise_or_count_what_is_no_count(start, end, path):
    first, last = ("message_start", "message_delta") if path == "/v1/messages" else ("response.created", "response.completed")
    stream = f"event: {first}\ndata: {json.dumps(start)}\n\nevent: {last}\ndata: {json.dumps(end)}\n\n"
    reading = read(stream.encode(), path=path)
    assert reading.gave_up is None
    usage: Usage = reading.usage
    assert all(value is None or (type(value) is int and 0 <= value < 10**9) for value in (usage.input, usage.output, usage.cache_read))
    assert (reading.usage_source is UsageSource.NONE) == (
        usage == Usage(web_search_requests=usage.web_search_requests, web_fetch_requests=usage.web_fetch_requests)
    )
