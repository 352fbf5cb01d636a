"""`sidecar env` and `sidecar token`: passes for clients that `run` does not start."""

from __future__ import annotations

import json
import os
import sys
from shlex import quote

from sidecar.clock import moment
from sidecar.errors import UsageError
from sidecar.launch import passkey
from sidecar.launch.prepare import follow_checkout, make_pass, prepare, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sidecar.launch.passes import Pass

_ROTATED = "All passes made so far are invalid: start your agents again, and make new tokens."
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST_SECONDS = 10 * 366 * 86400


def env(args: Namespace) -> int:
    changed = prepare(args, os.environ, lifetime_seconds=lifetime_seconds(args.ttl), here=args.here)
    if args.json:
        # A settings file cannot take a variable away; an empty one is as good as none to the clients.
        block = {name: value or "" for name, value in changed.items() if value is not None or name in os.environ}
        print(json.dumps({"env": block}, indent=2))
        return 0
    lines = (f"unset {name}" if value is None else f"export {name}={quote(value)}" for name, value in changed.items())
    # As bytes: the shell has to get the user's own values back as they were, whatever stdout's encoding is.
    sys.stdout.buffer.write(os.fsencode("".join(f"{line}\n" for line in lines)))
    return 0


def token(args: Namespace) -> int:
    if args.rotate:
        passkey.rotate(args.places.pass_key)
        print(json.dumps({"rotated": True}) if args.json else _ROTATED)
        return 0
    if args.here:
        follow_checkout(args)
    pass_ = make_pass(args, lifetime_seconds(args.ttl), here=args.here)
    text = signed(args.places, pass_)
    print(json.dumps(_as_json(text, pass_), indent=2) if args.json else text)
    return 0


def _as_json(text: str, pass_: Pass) -> dict[str, object]:
    names = ("gateway", "session", "tags", "project", "repo", "branch", "scope")
    return {"pass": text, "expires": moment(pass_.expires), **{name: getattr(pass_, name) for name in names}}


def lifetime_seconds(text: str) -> int:
    """`45m`, `8h`, `90d` as seconds.  Raises `UsageError`."""
    count, unit = text[:-1], text[-1:]
    if count.isascii() and count.isdigit() and unit in _UNIT_SECONDS and len(count) < 12:
        seconds = int(count) * _UNIT_SECONDS[unit]
        if 0 < seconds <= _LONGEST_SECONDS:
            return seconds
    raise UsageError(f"not a time a pass can be good for: {text!r}", "a whole number and s, m, h, d or w, ten years at most: --ttl 90d")
