"""Parse, import the one handler, turn errors into words and an exit code."""

from __future__ import annotations

import os
import sys

from sidecar.errors import SidecarError, UsageError
from sidecar.launch import places, quick
from sidecar.launch.commands import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from types import SimpleNamespace

RUN_FAILED = 125  # what `env`, `nohup` and `docker run` say when it was they who failed, not the command they start
_INTERRUPTED = 130
_PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    starts_agent = False
    try:
        args = _parsed(sys.argv[1:] if argv is None else argv)
        starts_agent = args.verb == "run"
        if args.verb not in {"demo", "statusline"}:  # one makes a home of its own, the other needs none
            args.places = places.find(os.environ, args.config)
        code = load(args.handler)(args)
        sys.stdout.flush()
    except SidecarError as error:
        _complain(error.message, error.hint)
        return error.exit_code if isinstance(error, UsageError) or not starts_agent else RUN_FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough.  What is still buffered goes nowhere, without a complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except OSError as error:
        _complain(str(error), "")
        return RUN_FAILED if starts_agent else 1
    return code


def _parsed(argv: Sequence[str]) -> Namespace | SimpleNamespace:
    if (args := quick.parse(argv)) is not None:
        return args
    from sidecar.launch import parser  # noqa: PLC0415 - argparse takes 9 ms to import, all of `run` 18

    return parser.parse(argv)


def _complain(message: str, hint: str) -> None:
    print(f"sidecar: {message}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)
