"""Edits of a configuration's text: the active gateway is set, or a gateway is added.

Pure.  Every other byte stays: comments, layout, flow style, JSON, CRLF, a byte order mark.  The result is parsed again and has to
say the same as before but for the edit; a layout for which it would not is refused.
"""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING

import yaml

from sidecar.config import document
from sidecar.errors import SidecarError

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY = "gateway"
_GATEWAYS = "gateways"


class CannotEdit(SidecarError):
    """The text is laid out in a way that has to be edited by hand."""


def with_gateway(text: str, name: str) -> str:
    """Make `name`, a gateway's name, the active one.  `text` must be YAML without faults."""
    return _edit(text, lambda body: _edited(body, name), {_KEY: name}, f"{_KEY}: {name}")


def with_entry(text: str, name: str, base_url: str) -> str:
    """Add the gateway `name` at `base_url`.  `text` must be YAML without faults and have no gateway of this name."""
    values = document.read(text).values
    before = values.get(_GATEWAYS) if isinstance(values, dict) else None
    after = {**(before if isinstance(before, dict) else {}), name: {"base_url": base_url}}
    return _edit(
        text, lambda body: _with_entry(body, name, base_url), {_GATEWAYS: after}, f"{_GATEWAYS}: {{{_flow_entry(name, base_url)}}}"
    )


def _edit(text: str, edit: Callable[[str], str], changed: dict[str, object], by_hand: str) -> str:
    """Apply `edit` to the text behind a byte order mark.  Raises `CannotEdit` unless `changed` is all that is different then."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix(mark)
    before = document.read(body)
    edited = edit(body)
    after = document.read(edited)
    if not isinstance(before.values, dict) or after.faults or after.values != {**before.values, **changed}:
        raise CannotEdit(
            "the configuration file is laid out in a way that I do not dare to edit", f"type `sidecar config edit`, and write: {by_hand}"
        )
    return mark + edited


def _edited(body: str, name: str) -> str:
    root = yaml.compose(body, Loader=document.Loader)
    if not isinstance(root, yaml.MappingNode):
        return _with_last_lines(body, f"{_KEY}: {_scalar(name)}")
    for key, _ in root.value:
        if key.value == _KEY:
            return _replaced(body, key.end_mark.index, name)
    if root.flow_style:
        return _with_flow_entry(body, root, f'"{_KEY}": "{name}"')
    return _with_line(body, next((key for key, _ in root.value if key.value == _GATEWAYS), root.value[0][0]), f"{_KEY}: {_scalar(name)}")


def _with_entry(body: str, name: str, base_url: str) -> str:
    flow, block = _flow_entry(name, base_url), (f"{_scalar(name)}:", f"  base_url: {base_url}")
    line_break = _line_break(body)
    root = yaml.compose(body, Loader=document.Loader)
    if not isinstance(root, yaml.MappingNode):
        return _with_last_lines(body, f"{_GATEWAYS}:", *(f"  {line}" for line in block))
    for key, value in root.value:
        if key.value != _GATEWAYS:
            continue
        if isinstance(value, yaml.MappingNode) and value.flow_style:
            return _with_flow_entry(body, value, flow)
        if isinstance(value, yaml.MappingNode):
            return _with_line(body, value.value[0][0], *block)
        # Nothing stands under the key: the entry does, on a line of its own.
        start = body.rfind("\n", 0, key.start_mark.index) + 1
        end = body.find("\n", key.end_mark.index) + 1
        if not end:
            body, end = body + line_break, len(body) + len(line_break)
        indent = body[start : key.start_mark.index] + "  "
        return body[:end] + "".join(f"{indent}{line}{line_break}" for line in block) + body[end:]
    if root.flow_style:
        return _with_flow_entry(body, root, f'"{_GATEWAYS}": {{{flow}}}')
    indent = " " * root.value[0][0].start_mark.column
    # A document may end with a line that says so, and what is added stands before it.
    end = root.end_mark.index if body[root.end_mark.index :].strip() else len(body)
    return _with_last_lines(body[:end], f"{indent}{_GATEWAYS}:", *(f"{indent}  {line}" for line in block)) + body[end:]


def _flow_entry(name: str, base_url: str) -> str:
    """JSON, which is flow style too."""
    return f'"{name}": {{"base_url": "{base_url}"}}'


def _replaced(body: str, key_end: int, name: str) -> str:
    """The scalar (or alias) that follows the key becomes `name`, in the quotes that it had.  An anchor or a tag before it stays."""
    tokens = dropwhile(lambda token: token.start_mark.index < key_end, yaml.scan(body, Loader=document.Loader))
    place = key_end
    for token in tokens:
        start, end = token.start_mark.index, token.end_mark.index
        if isinstance(token, yaml.ScalarToken | yaml.AliasToken):
            style = getattr(token, "style", None)
            # A block scalar's token runs up to what comes next: the line break after it is not its own.
            end = start + len(body[start:end].rstrip())
            return body[:start] + _scalar(name, style if style in ("'", '"') else "") + body[end:]
        if not isinstance(token, yaml.ValueToken | yaml.AnchorToken | yaml.TagToken):
            break
        place = end
    return f"{body[:place]} {_scalar(name)}{body[place:]}"


def _with_flow_entry(body: str, mapping: yaml.MappingNode, entry: str) -> str:
    """Before the first entry, set off as that one is from the bracket."""
    opening = body.index("{", mapping.start_mark.index) + 1
    if not mapping.value:
        return body[:opening] + entry + body[opening:]
    first = mapping.value[0][0].start_mark.index
    gap = body[opening:first]
    return f"{body[:first]}{entry},{gap if gap.isspace() else ' '}{body[first:]}"


def _with_line(body: str, key: yaml.ScalarNode, *lines: str) -> str:
    """Lines of their own before the one of `key`, and before the comment right above that."""
    start = body.rfind("\n", 0, key.start_mark.index) + 1
    indent = body[start : key.start_mark.index]
    while start and body.startswith(f"{indent}#", above := body.rfind("\n", 0, start - 1) + 1):
        start = above
    return body[:start] + "".join(f"{indent}{line}{_line_break(body)}" for line in lines) + body[start:]


def _with_last_lines(body: str, *lines: str) -> str:
    line_break = _line_break(body)
    gap = line_break if body and not body.endswith("\n") else ""
    return body + gap + "".join(f"{line}{line_break}" for line in lines)


def _scalar(name: str, quote: str = "") -> str:
    """As text in YAML: a gateway may be called `no` or `1e3`."""
    if not quote and document.read(name).values != name:
        quote = '"'
    return f"{quote}{name}{quote}"


def _line_break(body: str) -> str:
    return "\r\n" if "\r\n" in body else "\n"
