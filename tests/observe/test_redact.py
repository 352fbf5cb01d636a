"""Whatever a secret is wrapped in, it does not come out; whatever is harmless, does."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.observe.redact import HARMLESS_LIMIT, MARK, SHORTEST_SECRET, TEXT_LIMIT, Redactor, is_secret_name, printable

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
SECRETS = st.text(PRINTABLE, min_size=SHORTEST_SECRET, max_size=80)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def b64_url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


ENCODINGS = [
    lambda secret, _: secret,
    lambda secret, _: quote(secret, safe=""),
    lambda secret, _: quote(secret),
    lambda secret, _: quote_plus(secret),
    lambda secret, _: quote(secret, safe="").lower() if secret.islower() else quote(secret, safe=""),
    lambda secret, _: "".join(f"%{ord(character):02x}" for character in secret),
    lambda secret, _: b64(secret.encode()),
    lambda secret, _: b64(secret.encode()).rstrip("="),
    lambda secret, _: b64_url(secret.encode()),
    lambda secret, _: b64_url(secret.encode()).rstrip("="),
    lambda secret, around: b64(f"{around}:{secret}".encode()),
    lambda secret, around: b64_url(f"{around}:{secret}\n".encode()),
    lambda secret, around: b64(f"{secret}:{around}".encode()),
    lambda secret, _: json.dumps({"inner": secret}),
    lambda secret, _: repr([secret]),
    lambda secret, _: secret.encode().hex(),
    lambda secret, _: secret.encode().hex().upper(),
    lambda secret, _: "".join(f"%u{ord(character):04X}" for character in secret),
    lambda secret, _: "".join(f"\\{ord(character):03o}" for character in secret),
    lambda secret, _: "".join(f"&#{ord(character)}" for character in secret),
    lambda secret, _: secret.replace("&", "&amp;").replace("/", "&sol;").replace("_", "&lowbar;").replace("=", "&equals;"),
    lambda secret, _: "\u200b".join(secret),
    lambda secret, _: "\xad\ufeff".join(secret),
]

WRAPPINGS = [
    lambda text: {"event": text},
    lambda text: {"event": "x", "field": [text]},
    lambda text: {"event": "x", "field": {"deep": ({"deeper": (1, text)},)}},
    lambda text: {"event": "x", "field": {text: 1}},
    lambda text: {"event": "x", text: 1},
    lambda text: {"event": "x", "field": text.encode()},
    lambda text: {"event": "x", "field": ValueError(f"could not use {text!s} here")},
    lambda text: {"event": "x", "field": {text}},
]


@given(SECRETS, st.sampled_from(ENCODINGS), st.sampled_from(WRAPPINGS), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_comes_out_however_it_is_encoded_and_nested(secret, encode, wrap, before, after):
    encoded = encode(secret, after)
    written = json.dumps(Redactor({secret}).event(wrap(f"{before}{encoded}{after}")), ensure_ascii=False)
    assert secret not in written
    assert json.dumps(secret)[1:-1] not in written
    assert encoded not in written


@given(st.lists(SECRETS, min_size=1, max_size=4), st.data())
def test_none_of_several_secrets_comes_out_even_when_they_overlap(secrets, data):
    pieces = data.draw(st.lists(st.sampled_from(secrets) | st.text(PRINTABLE, max_size=10), max_size=8))
    text = Redactor(secrets).text("".join(pieces))
    assert not [secret for secret in secrets if secret in text]


@given(SECRETS, st.integers(min_value=1))
def test_an_escape_sequence_in_the_middle_does_not_hide_a_secret(secret, at):
    at %= len(secret)
    assert secret not in Redactor({secret}).text(f"key {secret[:at]}\x1b[0m\x00{secret[at:]} end")


def test_a_secret_of_digits_is_not_written_as_a_number():
    assert Redactor({"12345678"}).event({"event": "x", "count": 12345678, "other": 7}) == {"event": "x", "count": MARK, "other": 7}


def test_a_secret_of_digits_is_found_in_a_line_too():
    redactor = Redactor({"12345678"})
    for count in (7, 12345678, 9.12345678, "12345678"):
        assert "12345678" not in redactor.line({"event": "x", "count": count}).decode()


@given(
    st.lists(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(), max_size=4), max_size=6),
    st.lists(SECRETS, max_size=2),
    st.data(),
)
def test_a_line_says_what_the_event_says_whatever_was_written_before(events, secrets, data):
    redactor = Redactor(secrets)
    for event in events * 2:
        quoted = event | {"field": data.draw(st.sampled_from([*secrets, "harmless", "'", "%41", "basic dXNlcjprZXlrZXlrZXk="]))}
        line = redactor.line(quoted)
        assert json.loads(line) == redactor.event(quoted)
        assert len(line.splitlines()) == 1


def test_what_is_remembered_as_harmless_is_bounded():
    redactor = Redactor({"s3cret-s3cret"})
    for number in range(HARMLESS_LIMIT):
        redactor.line({"event": "x", "id": f"id-{number}"})
    assert len(redactor._harmless) <= HARMLESS_LIMIT
    assert "s3cret-s3cret" not in redactor.line({"event": "x", "id": "s3cret-s3cret"}).decode()


def test_a_text_is_cut_after_the_search_so_that_no_half_of_a_secret_is_left():
    text = Redactor({"s3cret" * 10}).text("x" * (TEXT_LIMIT - 30) + "s3cret" * 10 + "y" * 100)
    assert "s3cret" not in text
    assert len(text) == TEXT_LIMIT + 1


SECRET_NAMES = """authorization Proxy-Authorization x-api-key x-edgee-api-key apiKey API_KEY key Set-Cookie auth_token authToken
    VERCEL_OIDC_TOKEN client_secret password pass x-sidecar-pass helicone-auth x-bf-vk"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_fields_of_these_names_are_secret_whatever_they_hold(name):
    assert is_secret_name(name)
    assert Redactor(()).event({"event": "x", "headers": {name: ["anything"]}})["headers"] == {name: MARK}
    assert Redactor(()).event({"event": "x", "headers": [(name, "anything")]})["headers"] == [[name, MARK]]


@pytest.mark.parametrize(
    "name", ["input_tokens", "cache_read_tokens", "keyring", "monkey", "passes", "session", "request_id", "author", "keep", "secretary"]
)
def test_fields_of_these_names_are_not(name):
    assert not is_secret_name(name)


def test_whether_there_is_a_key_may_be_said():
    assert Redactor(()).event({"event": "x", "key": True}) == {"event": "x", "key": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass sidecar-pass-eyJh.Ym-9_x= bad", f"pass sidecar-pass-{MARK} bad"),
        ("Authorization: Bearer abc.def-1.0123456789", f"Authorization: Bearer {MARK}"),
        ("basic dXNlcjprZXlrZXlrZXk=", f"basic {MARK}"),
        ("sk-ant-oat01-abcdef", f"sk-ant-{MARK}"),
        ("http://user:word@proxy:3128/", f"http://{MARK}@proxy:3128/"),
        ("http://127.0.0.1:4180/v1/messages?beta=true", "http://127.0.0.1:4180/v1/messages?beta=true"),
        ("a basic mistake of the bearer", "a basic mistake of the bearer"),
    ],
)
def test_what_gives_itself_away_is_taken_out_unknown_as_it_is(text, expected):
    assert Redactor(()).text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("naïve 你好 🙂", "naïve 你好 🙂"),
        ("red \x1b[31;1mtext\x1b[0m", "red text"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x9b2Jc1 csi", "c1 csi"),
        ("\x1bcreset", "reset"),
        ("a\nb\r\nc\td\x85e\u2028f", "a b c d e f"),
        ("bell\x07 del\x7f nul\x00", "bell del nul"),
        ("abc\u202edef\u2066ghi\u200f", "abcdefghi"),
        ("no\u200b\ufeff\xad\u2060 room", "no room"),
        ("half \ud800 pair", "half \\ud800 pair"),
    ],
)
def test_what_moves_a_cursor_or_reorders_text_is_removed(text, expected):
    assert printable(text) == expected


@given(st.text())
def test_printable_text_is_one_line_that_can_be_encoded(text):
    line = printable(text)
    assert len(line.splitlines()) <= 1
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in line)
    line.encode()


def test_a_value_that_holds_itself_comes_to_an_end():
    endless: list[object] = []
    endless.append(endless)
    assert "…" in str(Redactor(()).event({"event": "x", "field": endless}))


def test_a_dataclass_is_taken_apart_so_that_its_field_names_count():
    @dataclass
    class Pair:
        token: str
        other: str

    assert Redactor(()).event({"event": "x", "field": Pair("abc", "def")})["field"] == {"token": MARK, "other": "def"}
