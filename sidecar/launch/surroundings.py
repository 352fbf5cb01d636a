"""What a command inherits from the shell, made fit for use: its standard streams, Python's variables, the working folder.

Standard library only, and nothing that is not loaded already: every command imports this file, `sidecar run` included.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

#: Signs of our own, for encodings without them.
_REPLACEMENTS = str.maketrans({"✓": "+", "✗": "x", "\N{EN DASH}": "-", "·": "|", "…": "."})


def prepare() -> None:
    """Call this once, before anything else is imported."""
    _complete_streams()
    _keep_own_modules()
    if sys.warnoptions:  # PYTHONWARNINGS is meant for programs that the user develops
        import warnings  # noqa: PLC0415 - loaded already where there are options

        warnings.resetwarnings()
        warnings.simplefilter("ignore")


def say(message: str, hint: str = "") -> None:
    """Print a diagnostic of the sidecar's own to stderr, see `note`."""
    note(f"sidecar: {message}" + (f"\n  {hint}" if hint else ""))


def note(text: str) -> None:
    """Print to stderr.  Never raises: a full disk or a closed terminal behind stderr must not stop an agent."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = _nowhere("w")


def lost_output() -> OSError | None:
    """Write what stdout and stderr still hold.  The error, if stdout's fails; the rest is then dropped, so that the interpreter does not
    try again and end with a code of its own.
    """
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = _nowhere("w")
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = _nowhere("w")
        return error
    return None


def legible(text: str) -> str:
    """`text` with plain signs in place of those that stdout's encoding lacks."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_REPLACEMENTS).encode(encoding, "replace").decode(encoding)
    return text


def working_folder() -> str | None:
    """None if it has been deleted or may not be read."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _complete_streams() -> None:
    """A closed stream becomes the null device, under its own number: no file that is opened later is taken for it.

    Not inherited by an agent, which gets its streams as the shell left them.  Signs that stdout's encoding lacks are replaced.
    """
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers: `open` takes the lowest that is free
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere("r" if name == "stdin" else "w"))
    keeps_bytes = sys.stdout.errors == "surrogateescape" and sys.stdout.encoding.lower().startswith("utf")
    # Not written through, whatever PYTHONUNBUFFERED says: `lost_output` has to see what could not be written.
    sys.stdout.reconfigure(errors=None if keeps_bytes else "replace", write_through=False)  # type: ignore[union-attr]


def _nowhere(mode: str) -> TextIO:
    return open(os.devnull, mode, encoding="utf-8")  # type: ignore[return-value]


def _keep_own_modules() -> None:
    """Take the folders in PYTHONPATH off the search path: modules of another Python do not fit this one.

    Folders that this Python has by itself, or that hold the sidecar, stay.  An agent gets the variable as it is.
    """
    listed = os.environ.get("PYTHONPATH")
    site = sys.modules.get("site")
    if not listed or site is None or working_folder() is None:
        return
    library = os.path.dirname(os.__file__)
    own = {
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
        library,
        os.path.join(library, "lib-dynload"),
        *site.getsitepackages(),
        site.getusersitepackages(),
    }
    foreign = {os.path.abspath(entry) for entry in listed.split(os.pathsep)} - own
    sys.path[:] = [entry for entry in sys.path if entry not in foreign]
