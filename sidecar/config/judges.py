"""How plain values are judged: what text, lists, mappings and forms are made of, put together in `schema.py`.

A judge takes a value and what stands around it, and returns the value to use.  It raises ValueError with a sentence where the value
is wrong, `Wrong` where something in it is: every part is judged, whatever the others are.  No sentence holds the value: it may be
a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from sidecar.config import scalars
from sidecar.launch.names import did_you_mean

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Around(NamedTuple):
    """`known` is every gateway there is, `gateway` the one it is about; `before` the keys of the same form that are in order so far."""

    known: tuple[str, ...] = ()
    gateway: str = ""
    before: Mapping[str, Any] = NOTHING


Judge = Callable[[Any, Around], Any]


class Finding(NamedTuple):
    """`path` leads from what was judged to the wrong value, or, with `of_key`, to the one whose key is wrong."""

    path: tuple[str | int, ...]
    what: str
    of_key: bool = False


class Wrong(ValueError):
    """Parts of a value are.  Begins without any, to be raised if some were found."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    @contextmanager
    def below(self, step: str | int, *, of_key: bool = False) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            self.findings += [Finding((step, *each.path), each.what, of_key or each.of_key) for each in findings(error)]


def findings(error: ValueError) -> list[Finding]:
    return error.findings if isinstance(error, Wrong) else [Finding((), str(error))]


def alone(*judges: Callable[[Any], Any]) -> Judge:
    """One after the other, none of which looks around."""

    def judged(value: Any, _: Around) -> Any:
        for judge in judges:
            value = judge(value)
        return value

    return judged


def text(*judges: Callable[[str], str]) -> Judge:
    return alone(scalars.text, *judges)


def both(first: Judge, second: Judge) -> Judge:
    """`second` is given what `first` made of the value."""
    return lambda value, around: second(first(value, around), around)


def list_of(item: Judge, *, may_be_empty: bool = True) -> Judge:
    def judged(value: object, around: Around) -> tuple[object, ...]:
        if not isinstance(value, tuple):
            raise ValueError("must be a list, like [a, b]")
        if not value and not may_be_empty:
            raise ValueError("is empty")
        items, wrong = [], Wrong()
        for number, each in enumerate(value):
            with wrong.below(number):
                items.append(item(each, around))
        if wrong.findings:
            raise wrong
        return tuple(items)

    return judged


def mapping_of(key: Judge, value: Judge) -> Judge:
    """Keys are judged and stay as written."""

    def judged(given: object, around: Around) -> dict[str, object]:
        values, wrong = {}, Wrong()
        for name, each in _mapping(given).items():
            with wrong.below(name, of_key=True):
                key(name, around)
            with wrong.below(name):
                values[name] = value(each, around)
        if wrong.findings:
            raise wrong
        return values

    return judged


#: What people call a key where other tools have one in their files.
_NAMES_OF_KEYS = frozenset({"apikey", "authtoken", "accesstoken", "bearer", "key", "keys", "password", "secret", "token"})


def _unknown(name: str, known: Collection[str], around: Around) -> str:
    """What to say of a key that the form does not have."""
    plain = name.lower().replace("_", "").replace("-", "")
    if plain in _NAMES_OF_KEYS or plain.endswith("apikey"):
        return f"a gateway's key is never written here; take the line out and type: sidecar login {around.gateway or 'GATEWAY'}"
    return "this key is unknown" + did_you_mean(name, known)


def form(kind: type[NamedTuple], sections: Collection[str] = ()) -> Judge:
    """A mapping with the keys of `kind`, whose every field is `Annotated[type, judge]`; one without a default has to be there.

    Keys are judged in the order of the form.  Under `sections` nothing at all may stand: all that is below them has defaults.
    """
    judges: dict[str, Judge] = {name: annotation.__metadata__[0] for name, annotation in kind.__annotations__.items()}

    def judged(value: object, around: Around) -> NamedTuple:
        given, sound, wrong = _mapping(value), dict[str, Any](), Wrong()
        for name, judge in judges.items():
            with wrong.below(name):
                if name not in given and name in kind._field_defaults:
                    sound[name] = kind._field_defaults[name]
                elif name not in given:
                    raise ValueError("is missing")
                elif given[name] is None and name not in sections:
                    raise ValueError("has no value: give it one, or take the line out")
                else:
                    written = {} if given[name] is None else given[name]
                    sound[name] = judge(written, around._replace(before=sound))
        for name in (name for name in given if name not in judges):
            with wrong.below(name, of_key=True):
                raise ValueError(_unknown(name, judges, around))
        if wrong.findings:
            raise wrong
        return kind._make(sound.values())

    return judged


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping, like {key: value}")
    return value
