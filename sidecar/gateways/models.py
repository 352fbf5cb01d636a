"""The model id a gateway wants for the one an agent asks for.  Pure.

The user's rules come first, then the preset's, then the form in which the gateway writes Anthropic's ids.  What nothing matches
passes unchanged.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.gateways.gateway import Gateway

# Claude Code's own mark for "assume the window of a million tokens", in any case (code.claude.com/docs/en/model-config).
_ONE_MILLION = re.compile(r"\[1m\]\Z", re.IGNORECASE)
_FAMILY = "(?P<family>opus|sonnet|haiku|fable|mythos)"
_VERSION = "(?P<major>[0-9]{1,2})(?:-(?P<minor>[0-9]{1,2}))?"
_DATE = "(?:-[0-9]{8})?"
_FAMILY_FIRST = re.compile(f"claude-{_FAMILY}-{_VERSION}{_DATE}")  # claude-sonnet-4-5-20250929
_VERSION_FIRST = re.compile(f"claude-{_VERSION}-{_FAMILY}{_DATE}")  # claude-3-5-haiku-20241022
_DATED = re.compile("(?P<name>claude-.+)-(?P<date>[0-9]{8})")


def sent_model(requested: str, gateway: Gateway) -> str:
    name = _ONE_MILLION.sub("", requested)
    for rule in gateway.model_rules:
        pattern = _ONE_MILLION.sub("", rule.pattern)
        if name == pattern or fnmatchcase(name, pattern):
            return rule.model
    match gateway.model_form:
        case "dotted":
            return _dotted(name) or requested
        case "at_date":
            return _at_date(name) or requested
        case _:
            return requested


def _dotted(name: str) -> str | None:
    """`anthropic/claude-sonnet-4.5`: vendor, a dot in the version, no date."""
    if match := _FAMILY_FIRST.fullmatch(name):
        return f"anthropic/claude-{match['family']}-{_version(match)}"
    if match := _VERSION_FIRST.fullmatch(name):
        return f"anthropic/claude-{_version(match)}-{match['family']}"
    return None


def _version(match: re.Match[str]) -> str:
    return f"{match['major']}.{match['minor']}" if match["minor"] else match["major"]


def _at_date(name: str) -> str | None:
    """`claude-sonnet-4-5@20250929`: the date after an @, as Vertex writes it."""
    match = _DATED.fullmatch(name)
    return f"{match['name']}@{match['date']}" if match else None
