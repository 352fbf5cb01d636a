"""The command `sidecar`: parses, imports the one handler, turns every error into a message, a hint and an exit code."""

from __future__ import annotations

import errno
import os
import sys

from sidecar.errors import SidecarError, UsageError
from sidecar.launch import lean_json, places, quick, surroundings
from sidecar.launch.commands import load
from sidecar.launch.surroundings import lost_output, note, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from types import SimpleNamespace

RUN_FAILED = 125  # `env`, `nohup` and `docker run` exit with it when they failed themselves, not the command they start
_INTERRUPTED = 130
_PIPE_CLOSED = 141
_CANNOT_WRITE = (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT)


def main(argv: Sequence[str] | None = None) -> int:
    surroundings.prepare()
    words = sys.argv[1:] if argv is None else argv
    failed = RUN_FAILED if "run" in words[:1] or (words[:1] == ["--config"] and "run" in words[2:3]) else 1
    try:
        code = _command(words)
    except SidecarError as error:
        code = error.exit_code if isinstance(error, UsageError) or failed == 1 else failed
        _tell(error, code, words)
    except SystemExit as end:  # argparse's, after --help or a usage fault; a signal's, from a page that is drawn live
        code = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            note("")  # the terminal shows ^C, and the shell's prompt belongs on a line of its own
        code = _INTERRUPTED
    except OSError as error:
        lost_output()  # what is left could not be written either
        if isinstance(error, BrokenPipeError):
            return _PIPE_CLOSED
        say(*_explained(error))
        return failed
    except Exception as error:  # noqa: BLE001 - nobody is shown a traceback
        say(f"{' '.join(words[:1])}: unexpected {type(error).__name__}: {error}", _recorded(error, words))
        code = failed
    if lost := lost_output():
        if isinstance(lost, BrokenPipeError):  # who reads has seen enough
            return _PIPE_CLOSED
        say(*_explained(lost))
        return failed
    return code


def _tell(error: SidecarError, code: int, words: Sequence[str]) -> None:
    """To people on stderr; on stdout, too, as JSON to a program that asked for it."""
    if "--json" in words and "--" not in words:
        print(lean_json.dumps({"error": error.message, "hint": error.hint, "exit_code": code}))
    say(error.message, error.hint)


def _command(words: Sequence[str]) -> int:
    args = _parsed(words)
    if args.verb not in {"demo", "statusline"}:  # one makes a home of its own, the other needs none
        args.places = places.find(os.environ, args.config)
    return load(args.handler)(args)


def _parsed(argv: Sequence[str]) -> Namespace | SimpleNamespace:
    if (args := quick.parse(argv)) is not None:
        return args
    from sidecar.launch import parser  # noqa: PLC0415 - argparse takes 9 ms to import, all of `run` 18

    return parser.parse(argv)


def _explained(error: OSError) -> tuple[str, str]:
    """Message and hint."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}", ""
    if isinstance(error, FileNotFoundError) and surroundings.working_folder() is None:
        return "the working folder has been deleted", "cd to a folder that exists"
    if error.errno in _CANNOT_WRITE:  # every file of the sidecar's own is named in the errors about it
        return f"the output could not be written: {error.strerror}", "free some space there, or send it elsewhere"
    return str(error) or type(error).__name__, ""


def _recorded(error: Exception, words: Sequence[str]) -> str:
    """Put the traceback into the log.  Returns the hint that says where it is; where there can be no log, the traceback itself."""
    import traceback  # noqa: PLC0415 - for what should not happen

    try:
        folder = places.find(os.environ).logs
        load("sidecar.observe.logs:record_failure")(folder, "command.failed", error, command=" ".join(words[:1]))
    except Exception:  # noqa: BLE001 - the first error is the one to tell of
        return "\n  ".join(line for part in traceback.format_exception(error) for line in part.splitlines())
    return f"please report this; the traceback is in the log: sidecar logs -n 1 ({folder})"
