"""YAML text -> plain values, and where in the text every key and value stands.

Pure: text in, values out.  Mappings come back as dicts whose keys are always text as written (`no: x` has the key `no`), lists as
tuples.  Nothing here knows what a configuration may say; `schema.py` does.  Whatever the text, `read` returns: what is wrong with
it is in `Document.faults`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

# libyaml is some seven times faster than the loader in Python; wheels bring it nearly everywhere.
Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]
Place = tuple[int, int]

# libyaml composes by recursion in C: without a limit some 50,000 brackets end the process, no exception.
MAX_DEPTH = 32
# Aliases of aliases grow without bound ("billion laughs"); a real file has a few hundred values.
MAX_VALUES = 10_000
_ENDLESS = "the aliases here unfold without end"
_TOO_MANY = f"more than {MAX_VALUES} values, with what aliases stand for: no configuration has as many"
# Numbers to the base of 60 (`1:30:00`) are read in time that grows with the square of their length.
MAX_NUMBER = 64

_MAP, _SEQ, _MERGE = ("tag:yaml.org,2002:" + kind for kind in ("map", "seq", "merge"))
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """Something wrong at `place` (line and column, from 1)."""

    place: Place
    path: Path
    what: str


@dataclass(slots=True)
class Document:
    """`values` is {} for an empty text and for one that is not YAML.  `keys` and `places` say where a path's key and value are."""

    values: object = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: Path, *, of_key: bool = False) -> Place:
        """Where the value (or key) of `path` stands; of what is missing, where the nearest thing around it does, by its key if it has one."""
        if path in self.places and not of_key:
            return self.places[path]
        while path and path not in self.keys and path not in self.places:
            path = path[:-1]
        return self.keys.get(path) or (self.places[path] if path else (1, 1))


class _TooMuchError(Exception):
    def __init__(self, node: yaml.Node, what: str) -> None:
        self.place = _place(node.start_mark)
        self.what = what


def read(text: str) -> Document:
    text = text.removeprefix("\ufeff")
    document = Document()
    if bad := Reader.NON_PRINTABLE.search(text):
        before = text[: bad.start()]
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        document.faults.append(Fault(place, (), f"the character U+{ord(bad.group()):04X} cannot stand in YAML"))
        return document
    try:
        if deep := _too_deep(text):
            document.faults.append(Fault(deep, (), f"more than {MAX_DEPTH} levels deep"))
            return document
        root = yaml.compose(text, Loader=Loader)
        if root is not None:
            value = _Walk(document).value(root, ())
            document.values = {} if value is None else value
    except yaml.MarkedYAMLError as error:
        document.faults.append(_syntax_fault(text, error))
    except _TooMuchError as error:
        document.faults.append(Fault(error.place, (), error.what))
    return document


class _Mark(Protocol):
    line: int
    column: int


def _place(mark: _Mark | None) -> Place:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _too_deep(text: str) -> Place | None:
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return _place(event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _syntax_fault(text: str, error: yaml.MarkedYAMLError) -> Fault:
    place = _place(error.problem_mark or error.context_mark)
    line = text.split("\n")[min(place[0] - 1, text.count("\n"))]
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        return Fault((place[0], indent.index("\t") + 1), (), "a tab cannot indent YAML: use spaces")
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return Fault(place, (), f"not YAML: {what}")


class _Walk:
    """Turns nodes to values, noting every place on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def step(self, node: yaml.Node) -> None:
        """Count what is walked: aliases and merges can stand for any number of values."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise _TooMuchError(node, _TOO_MANY)

    def value(self, node: yaml.Node, path: Path) -> object:
        self.step(node)
        if len(path) > MAX_DEPTH:
            raise _TooMuchError(node, _ENDLESS)
        self.document.places[path] = _place(node.start_mark)
        match node:
            case yaml.MappingNode(tag=tag) if tag == _MAP:
                return self.mapping(node, path)
            case yaml.SequenceNode(tag=tag) if tag == _SEQ:
                return tuple(self.value(item, (*path, number)) for number, item in enumerate(node.value))
            case yaml.ScalarNode():
                return self.scalar(node, path)
        self.fault(node, path, f"the tag {node.tag} is not known here")
        return {} if isinstance(node, yaml.MappingNode) else ()

    def scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        try:
            if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER:
                raise ValueError
            return SafeConstructor().construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            self.fault(node, path, "YAML reads this as something other than text: put it in quotes")
            return str(node.value)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.fault(key, path, "a key must be plain text")
            elif key.value in values:
                first = self.document.keys[*path, key.value][0]
                self.fault(key, (*path, key.value), f"given twice (first on line {first})")
            else:
                self.entry(key, value, path, values)
        for key, value in self.merged(node, path):
            if isinstance(key, yaml.ScalarNode) and key.value not in values:
                self.entry(key, value, path, values)
        return values

    def entry(self, key: yaml.ScalarNode, value: yaml.Node, path: Path, values: dict[str, object]) -> None:
        self.document.keys[*path, key.value] = _place(key.start_mark)
        values[key.value] = self.value(value, (*path, key.value))

    def merged(self, node: yaml.MappingNode, path: Path, depth: int = 0) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """What `<<` brings into `node`, in the order in which it counts: the first to give a key wins."""
        if depth > MAX_DEPTH:
            raise _TooMuchError(node, _ENDLESS)
        for key, value in node.value:
            if key.tag != _MERGE:
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self.step(source)
                if isinstance(source, yaml.MappingNode):
                    for entry in source.value:
                        self.step(entry[0])
                        if entry[0].tag != _MERGE:
                            yield entry
                    yield from self.merged(source, path, depth + 1)
                elif depth == 0:
                    self.fault(source, path, "<< takes a mapping")

    def fault(self, node: yaml.Node, path: Path, what: str) -> None:
        self.step(node)
        self.document.faults.append(Fault(_place(node.start_mark), path, what))
