"""`sidecar uninstall`: what the sidecar has put on this machine is taken away; keys and the ledger only after a yes.

Only files of its own go: `SIDECAR_HOME` may be a folder with other things in it.  The package itself is the installer's to remove.
"""

from __future__ import annotations

import os
import shutil
import sys
from argparse import Namespace
from contextlib import suppress
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from sidecar.cli.running import service
from sidecar.cli.setup import statusline_setup
from sidecar.cli.setup.login import sources
from sidecar.cli.setup.wrapper import wrappers
from sidecar.config.load import load
from sidecar.credentials import stored, system_keyring
from sidecar.errors import SidecarError, UsageError
from sidecar.gateways.gateway import Keyring
from sidecar.launch.surroundings import note, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidecar.launch.places import Places

#: The names of what the sidecar writes beside its configuration and its keys; a log and the ledger have several files.
_OWN = ("ledger.db*", "logs", "daemon.json", "daemon.lock", "draining-*.lock", "start.lock", "pass.key", "prices.json", "trusted.json")
_PACKAGE = "The package itself goes with what installed it: pipx uninstall agent-sidecar"


def uninstall(args: Namespace) -> int:
    """Each part by itself: what cannot be removed is said, and the rest goes on."""
    if args.yes and args.keep:
        raise UsageError("--yes and --keep answer the same questions", "leave one of them out")
    places = args.places
    is_stopped = _done(service.stop, Namespace(places=places, now=False))
    done = [
        is_stopped,
        _done(_remove_wrappers, places),
        _done(statusline_setup.change, Namespace(install=False, remove=True)),
    ]
    names = _key_names(places)
    if names and _agreed(args, f"Remove the stored keys of {', '.join(names)}?", "keys"):
        done += [_done(_remove_key, places, name) for name in names]
    files = [*_own_files(places)]
    if files and is_stopped and _agreed(args, f"Remove the configuration, the log and the whole ledger from {_folders(places)}?", "files"):
        done += [_done(_remove, path) for path in files]
        for folder in (places.keys, places.state_dir, places.config_dir):
            with suppress(OSError):  # it holds something else, or is gone
                os.rmdir(folder)
        print(f"Removed the sidecar's files from {_folders(places)}.")
    print(_PACKAGE)
    return int(not all(done))


def _done(part: Callable[..., object], *given: object) -> bool:
    try:
        part(*given)
    except SidecarError as error:
        say(error.message, error.hint)
        return False
    except OSError as error:
        say(f"{error.filename}: {error.strerror}")
        return False
    return True


def _remove_wrappers(places: Places) -> None:
    for path, _gateway in wrappers(os.environ, places.config_file):
        os.unlink(path)
        print(f"Removed {path}.")


def _key_names(places: Places) -> list[str]:
    """Names under which a key is stored: those of files, and those that the configuration's gateways have in the keyring."""
    names = set(_files(places.keys))
    try:
        for gateway in load(places).gateways.values():
            for source in sources(gateway):
                if isinstance(source, Keyring) and source.name not in names and system_keyring.read(source.name, places.home) is not None:
                    names.add(source.name)
    except stored.NoKeyring:
        pass
    except SidecarError as error:
        say(f"which keys the keyring holds could not be seen: {error.message}", "sidecar logout GATEWAY, for each that has one")
    return sorted(names)


def _files(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return


def _remove_key(places: Places, name: str) -> None:
    where = ["the key file"] if stored.remove_file(places.keys, name) else []
    with suppress(stored.NoKeyring):
        where += ["the keyring"] if system_keyring.remove(name, places.home) else []
    if where:
        print(f"Removed the key of {name} from {' and '.join(where)}.")


def _own_files(places: Places) -> Iterator[str]:
    """A configuration file that the user has named is the user's."""
    for folder, own in ((places.state_dir, _OWN), (places.config_dir, () if places.config_given else ("config.yaml", "config.yml"))):
        with suppress(FileNotFoundError):
            yield from (os.path.join(folder, name) for name in sorted(os.listdir(folder)) if any(fnmatch(name, each) for each in own))


def _folders(places: Places) -> str:
    return " and ".join(dict.fromkeys((places.state_dir, places.config_dir)))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _agreed(args: Namespace, question: str, what: str) -> bool:
    """Nobody to ask counts as a no."""
    if args.yes or args.keep:
        return bool(args.yes)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        note(f"kept, because there is nobody to ask: {question} sidecar uninstall --yes")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    print(f"The {what} stay.")
    return False
