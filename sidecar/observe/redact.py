"""What may be written down: secrets are taken out, by field name, by value and by shape, and text is made safe to print.

Pure.  A secret is found by value as it stands, escaped as JSON, programming languages, URLs and HTML do it (whichever of its characters
are), in hexadecimal, and in base64 of both alphabets, also when it is only a part of what was encoded, as in the `user:key` of basic authentication.
Control characters go first: a secret that an escape sequence cuts in two is whole again by the time it is looked for.
"""

from __future__ import annotations

import base64
import html.entities
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias, cast

import msgspec

#: Stands where something was taken out.  Not ASCII, which every secret is: so it cannot complete one with the text around it.
MARK = "•••"

#: Shorter values are no keys, and taking out every "true" or "80" would leave nothing to read.
SHORTEST_SECRET = 6

TEXT_LIMIT = 4096
#: Characters of a text from the wire that the ledger keeps.
COLUMN_LIMIT = 256
DEPTH_LIMIT = 8
#: Texts that are remembered as harmless.
HARMLESS_LIMIT = 1024

#: Escape sequences whole (CSI; OSC, DCS and their kind up to their end; the two-character ones), then what is left of C0, DEL, C1,
#: the two Unicode line breaks, the marks that reorder text on a screen, and the characters that take no room on it.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]"
)
_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")

#: Not `tokens`, which are counted.
_SECRET_WORD = re.compile(
    r"(?:cookie|credential|password|secret)s?|apikey|auth|authorization|bearer|key|pass|passwd|token|vk",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")

#: What gives itself away: a pass, an Anthropic key or login, the credentials of an authorization field, those before a URL's host.
_SHAPE = re.compile(
    r"(sidecar-pass-|\bsk-ant-)[\w.~%=-]+"
    r"|(\b(?:bearer|basic)\s+)[\w.~+/%=-]{16,}"
    r"|(://)[^/\s@'\"]+(?=@)",
    re.IGNORECASE,
)

#: In lower case, one of these is in all that `_SHAPE` finds.
_SHAPE_SIGNS = ("sidecar-pass-", "sk-ant-", "bearer", "basic", "://")

#: What every escaped character begins with, and how long one can be, some repetitions of its sign included.
_ESCAPE_SIGN = re.compile(r"[%\\&]")
_LONGEST_ESCAPE = 16
#: Characters that no two secrets begin with, unless both are tokens of one issuer.
_TELLING = 100

Plain: TypeAlias = str | float | bool | None
_NUMBERS = frozenset({int, float, bool, type(None)})
_PLAIN = _NUMBERS | {str}
#: What a number is written with, `1e-07` and `-inf` included.
_NUMERALS = frozenset("0123456789+-.aefin")

_encoded = msgspec.json.Encoder().encode


def printable(text: str) -> str:
    """`text` on one line, without anything that moves a cursor, colours a terminal or reorders what is read."""
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROL.sub("", _SPACE.sub(" ", _SEQUENCE.sub("", text)))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether a field, header or variable of this name holds a secret: `x-api-key`, `authToken`, `VERCEL_OIDC_TOKEN`; not `input_tokens`."""
    return any(_SECRET_WORD.fullmatch(word) for word in _WORD.findall(name))


@lru_cache(maxsize=256)
def _has_secret_name(names: tuple[str, ...]) -> bool:
    return any(map(is_secret_name, names))


class Redactor:
    """Takes `secrets` (printable ASCII) out of text and of events."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)
        literal = {form for secret in known for form in _forms(secret)}
        self._literal = sorted(literal, key=len, reverse=True)
        self._known = known
        #: The longest text that one escaped secret can be.
        self._reach = _LONGEST_ESCAPE * max(map(len, known), default=SHORTEST_SECRET)
        self._not_searched = _NUMBERS if not any(_NUMERALS.issuperset(form) for form in self._literal) else frozenset()
        self._harmless: set[object] = set()

    @cached_property
    def _escaped(self) -> list[re.Pattern[str]]:
        """Compiled when the first text comes that holds an escape: few do."""
        patterns = [_escaped_pattern(secret) for secret in self._known]
        return patterns + [_escaped_punctuation(form) for secret in self._known for form in _base64_forms(secret)]

    def text(self, text: str) -> str:
        """One printable line of at most `TEXT_LIMIT` characters, and a sign behind them where more followed."""
        clean = self._clean(text, TEXT_LIMIT)
        return clean if len(clean) <= TEXT_LIMIT else clean[:TEXT_LIMIT] + "…"

    def column(self, text: str) -> str:
        """A text from the wire as the ledger keeps it: one printable line of at most `COLUMN_LIMIT` characters."""
        if text in self._harmless and len(text) <= COLUMN_LIMIT:
            return text
        clean = self._clean(text, COLUMN_LIMIT)
        return clean if len(clean) <= COLUMN_LIMIT else clean[: COLUMN_LIMIT - 1] + "…"

    def columns(self, texts: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """`column` of each text.  One search finds out that most need no change."""
        if self.are_harmless(texts) and all(text is None or len(text) <= COLUMN_LIMIT for text in texts):
            return texts
        return tuple(None if text is None else self.column(text) for text in texts)

    def _clean(self, text: str, limit: int) -> str:
        """Without secrets, as far as `limit` at least.

        A longer text is searched as far as a secret can reach that begins before `limit`.  What is left at its end may be the first
        half of a secret, so it is dropped.
        """
        is_cut = len(text) > limit + self._reach
        text = printable(text[: limit + self._reach + 1] if is_cut else text)
        if len(text) < SHORTEST_SECRET:
            return text
        for form in self._literal:
            text = text.replace(form, MARK)
        if _ESCAPE_SIGN.search(text):
            for pattern in self._escaped:
                text = pattern.sub(MARK, text)
        text = _SHAPE.sub(rf"\1\2\3{MARK}", text)
        return text[: max(len(text) - self._reach, 0)] if is_cut else text

    def event(self, event: Mapping[str, object]) -> dict[str, object]:
        """In JSON's types."""
        return {self.text(name): self._field(name, value, DEPTH_LIMIT) for name, value in event.items()}

    def line(self, event: Mapping[str, object]) -> bytes:
        """`event` as JSON on one line."""
        names = tuple(event)
        values = (*names, *event.values())
        if not _has_secret_name(names) and _PLAIN.issuperset(map(type, values)) and self.are_harmless(cast("tuple[Plain, ...]", values)):
            return _encoded(event)
        return json.dumps(self.event(event), ensure_ascii=False, separators=(",", ":")).encode()

    def are_harmless(self, values: Iterable[Plain]) -> bool:
        """Whether `event` would change nothing in them, which is so of nearly all: one search through the texts that were not looked at
        before costs 4 µs, through all 17, `event` 130.
        """
        unseen = [str(value) for value in values if type(value) not in self._not_searched and value not in self._harmless]
        text = "\n".join(unseen)
        if (
            len(text) > TEXT_LIMIT
            or text.count("\n") >= len(unseen) > 0
            or _ESCAPE_SIGN.search(text)
            or not text.isascii()
            or not text.replace("\n", "").isprintable()
        ):
            return False
        folded = text.lower()
        if any(sign in folded for sign in _SHAPE_SIGNS) or any(form in text for form in self._literal):
            return False
        if len(self._harmless) > HARMLESS_LIMIT:
            self._harmless.clear()
        self._harmless.update(unseen)
        return True

    def _field(self, name: object, value: object, depth: int) -> object:
        if isinstance(name, str) and is_secret_name(name) and not isinstance(value, bool | None):
            return MARK
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:  # noqa: PLR0911 - one return for each kind of value
        """The same value in JSON's types."""
        match value:
            case None | bool():
                return value
            case str():
                return self.text(value)
            case int() | float():
                written = str(value)
                return value if self.text(written) == written else MARK
            case bytes() | bytearray() | memoryview():
                return self.text(bytes(value).decode("utf-8", "backslashreplace"))
            case _ if depth == 0:
                return "…"
            case Mapping():
                return {self.text(str(name)): self._field(name, inner, depth - 1) for name, inner in value.items()}
            case (str() as name, inner):
                return [self.text(name), self._field(name, inner, depth - 1)]
            case list() | tuple() | set() | frozenset():
                return [self._value(inner, depth - 1) for inner in value]
            case _ if is_dataclass(value) and not isinstance(value, type):
                return {field.name: self._field(field.name, getattr(value, field.name), depth - 1) for field in fields(value)}
            case _:
                return self.text(str(value))


#: The redactor for a set of secrets.  All who ask for the same set share one, and what it knows to be harmless.
redactor_for = lru_cache(maxsize=16)(Redactor)


def _forms(secret: str) -> Iterable[str]:
    """The texts in which `secret` may stand: itself, quoted by JSON and by Python, as a form encodes its spaces, in hexadecimal and in base64."""
    yield secret
    yield secret.replace(" ", "+")
    yield json.dumps(secret)[1:-1]
    yield secret.replace("\\", "\\\\").replace("'", "\\'")
    yield secret.encode().hex()
    yield secret.encode().hex().upper()
    yield from _base64_forms(secret)


def _base64_forms(secret: str) -> Iterable[str]:
    for offset in range(3):
        # Of the base64 text of `…secret…` only the sextets made wholly of the secret's bits are certain, and which they are depends
        # on how many bytes come before it, modulo three.
        bits = base64.b64encode(bytes(offset) + secret.encode()).decode()
        first, end = -(-offset * 8 // 6), (offset + len(secret)) * 8 // 6
        yield bits[first:end]
        yield bits[first:end].translate({ord("+"): "-", ord("/"): "_"})


def _escaped_pattern(text: str) -> re.Pattern[str]:
    r"""`text` with any of its characters escaped: `%2F` and `%252F`, `%u002F`, `\/`, `\u002f`, `\x2f`, `\057`, `&#47;`, `&#x2f`, `&sol;`."""
    return _beginning(text, _escaped_character)


def _escaped_punctuation(text: str) -> re.Pattern[str]:
    """Letters and digits as they stand: nobody escapes those of a base64 text."""
    return _beginning(text, lambda each: each if each.isalnum() else _escaped_character(each))


def _beginning(text: str, character: Callable[[str], str]) -> re.Pattern[str]:
    """A pattern of 1,500 characters, as many as a token has, takes 0.2 s to compile: a long text is told by its beginning."""
    rest = r"[^\s\"'<>]*" if len(text) > _TELLING else ""
    return re.compile("".join(map(character, text[:_TELLING])) + rest)


@lru_cache(maxsize=256)
def _escaped_character(character: str) -> str:
    plain, code = re.escape(character), ord(character)
    names = {name.removesuffix(";") for name, meant in html.entities.html5.items() if meant == character}
    entities = [rf"\#0{{0,6}}{code}", rf"\#x0{{0,6}}{code:x}", *sorted(names, key=len, reverse=True)]
    ways = (
        plain,
        *([r"\+"] if character == " " else []),
        rf"(?i:%(?:25){{0,3}}(?:u00)?{code:02x})",
        rf"\\{{1,8}}(?:{plain}|(?i:u00{code:02x}|u\{{0{{0,4}}{code:x}\}}|U000000{code:02x}|x{code:02x})|0?{code:03o})",
        rf"(?i:&(?:amp;){{0,3}}(?:{'|'.join(entities)});?)",
    )
    return f"(?:{'|'.join(ways)})"
