"""The active gateway set in a configuration's text: one scalar replaced where the parser found it, or one line added.

Pure.  Every other byte stays: comments, layout, flow style, JSON, CRLF, a byte order mark.  The result is parsed again and has to
say the same as before but for the gateway; a layout for which it would not is refused.
"""

from __future__ import annotations

from itertools import dropwhile

import yaml

from sidecar.config import document
from sidecar.errors import SidecarError

_KEY = "gateway"


class CannotEdit(SidecarError):
    """The text is laid out in a way that has to be edited by hand."""


def with_gateway(text: str, name: str) -> str:
    """`text` must be YAML without faults; `name` is a gateway's name."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix(mark)
    before = document.read(body)
    edited = _edited(body, name)
    after = document.read(edited)
    if not isinstance(before.values, dict) or after.faults or after.values != {**before.values, _KEY: name}:
        raise CannotEdit("the configuration file is laid out in a way that I do not dare to edit", f"write into it by hand: {_KEY}: {name}")
    return mark + edited


def _edited(body: str, name: str) -> str:
    root = yaml.compose(body, Loader=document.Loader)
    if not isinstance(root, yaml.MappingNode):
        return _with_last_line(body, name)
    for key, _ in root.value:
        if key.value == _KEY:
            return _replaced(body, key.end_mark.index, name)
    if root.flow_style:
        return _with_flow_entry(body, root, name)
    return _with_line(body, root, name)


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


def _with_flow_entry(body: str, root: yaml.MappingNode, name: str) -> str:
    """Before the first entry, set off as that one is from the bracket."""
    opening = body.index("{", root.start_mark.index) + 1
    entry = f'"{_KEY}": "{name}"'
    if not root.value:
        return body[:opening] + entry + body[opening:]
    first = root.value[0][0].start_mark.index
    gap = body[opening:first]
    return f"{body[:first]}{entry},{gap if gap.isspace() else ' '}{body[first:]}"


def _with_line(body: str, root: yaml.MappingNode, name: str) -> str:
    """A line before `gateways:`, or else before the first key, and before the comment right above that."""
    keys = [key for key, _ in root.value]
    key = next((key for key in keys if key.value == "gateways"), keys[0])
    start = body.rfind("\n", 0, key.start_mark.index) + 1
    indent = body[start : key.start_mark.index]
    while start and body.startswith(f"{indent}#", above := body.rfind("\n", 0, start - 1) + 1):
        start = above
    return f"{body[:start]}{indent}{_KEY}: {_scalar(name)}{_line_break(body)}{body[start:]}"


def _with_last_line(body: str, name: str) -> str:
    line_break = _line_break(body)
    gap = line_break if body and not body.endswith("\n") else ""
    return f"{body}{gap}{_KEY}: {_scalar(name)}{line_break}"


def _scalar(name: str, quote: str = "") -> str:
    """As text in YAML: a gateway may be called `no` or `1e3`."""
    if not quote and document.read(name).values != name:
        quote = '"'
    return f"{quote}{name}{quote}"


def _line_break(body: str) -> str:
    return "\r\n" if "\r\n" in body else "\n"
