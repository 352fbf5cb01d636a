"""`sidecar env` and `sidecar token`: passes for clients that `run` does not start."""

from __future__ import annotations

import json
import os
from shlex import quote

from sidecar.errors import UsageError
from sidecar.launch import passkey
from sidecar.launch.prepare import make_pass, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST_SECONDS = 10 * 366 * 86400


def env(args: Namespace) -> int:
    changed = prepare(args, os.environ)
    if args.json:
        # A settings file cannot take a variable away; an empty one is as good as none to the clients.
        block = {name: value or "" for name, value in changed.items() if value is not None or name in os.environ}
        print(json.dumps({"env": block}, indent=2))
        return 0
    for name, value in changed.items():
        print(f"unset {name}" if value is None else f"export {name}={quote(value)}")
    return 0


def token(args: Namespace) -> int:
    if args.rotate:
        passkey.rotate(args.places.pass_key)
        print("All passes made so far are invalid: start your agents again, and make new tokens.")
        return 0
    print(make_pass(args, lifetime_seconds(args.ttl)))
    return 0


def lifetime_seconds(text: str) -> int:
    """`45m`, `8h`, `90d` as seconds.  Raises `UsageError`."""
    count, unit = text[:-1], text[-1:]
    if count.isascii() and count.isdigit() and unit in _UNIT_SECONDS and len(count) < 12:
        seconds = int(count) * _UNIT_SECONDS[unit]
        if 0 < seconds <= _LONGEST_SECONDS:
            return seconds
    raise UsageError(f"not a time a pass can be good for: {text!r}", "a whole number and s, m, h, d or w, ten years at most: --ttl 90d")
