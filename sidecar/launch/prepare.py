"""What `run`, `env` and `token` have in common: a pass, a daemon that serves, a gateway that has a key.

Standard library only: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

import os
import time

from sidecar import __version__
from sidecar.errors import CredentialFailed, NoCredential, UsageError
from sidecar.launch import client, daemon_state, passkey, project
from sidecar.launch.environment import changes
from sidecar.launch.names import UnknownGateway
from sidecar.launch.origin import where_started
from sidecar.launch.passes import LONGEST, MOST_TAGS, Pass, is_label, mint
from sidecar.launch.surroundings import say, working_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places

PASS_SECONDS = 90 * 86400
_FEWER_TAGS = "put those that never change under tags: in the configuration file"
LEDGER_HINT = "agents go on; what they use is not recorded until this is mended: sidecar logs"


def follow_checkout(args: Namespace) -> None:
    """Add to the command line what the `.sidecar.yaml` of the working folder asks for; an option that was given wins."""
    cwd = working_folder()
    wish = project.followed(args.places, cwd) if cwd is not None else None
    if wish is not None:
        args.gateway = args.gateway or wish.gateway
        args.tags = [*args.tags, *wish.tags]


def make_pass(args: Namespace, lifetime_seconds: int, *, here: bool) -> Pass:
    """The pass that the command line asks for.  With `here` it names the working folder's project, repository and branch.

    Raises `UsageError`.
    """
    tags = tuple(dict.fromkeys(tag.strip() for given in args.tags for tag in given.split(",") if tag.strip()))
    for what, label in (("gateway", args.gateway), ("session", args.session), *(("tag", tag) for tag in tags)):
        if label and not is_label(label):
            raise UsageError(f"not a {what}: {label[:60]!r}", "at most 256 characters, no control characters")
    if len(tags) > MOST_TAGS:
        raise UsageError(f"{len(tags)} tags are more than the {MOST_TAGS} that a request may have", _FEWER_TAGS)
    cwd = working_folder() if here else None
    folder, repo, branch = where_started(cwd) if cwd is not None else (None, None, None)
    return Pass(
        run=os.urandom(8).hex(),
        expires=int(time.time()) + lifetime_seconds,
        gateway=args.gateway,
        session=args.session,
        tags=tags,
        project=folder,
        repo=repo,
        branch=branch,
    )


def signed(places: Places, pass_: Pass) -> str:
    """The pass as text.  Raises `UsageError` where it is too long to travel."""
    text = mint(passkey.load_or_create(places.pass_key), pass_)
    if len(text) > LONGEST:
        raise UsageError("more tags than a pass can carry", _FEWER_TAGS)
    return text


def prepare(
    args: Namespace, environ: Mapping[str, str], *, lifetime_seconds: int = PASS_SECONDS, here: bool = True
) -> dict[str, str | None]:
    """Everything an agent needs, up to its environment: variable -> new value, None when removed.  Raises `SidecarError`.

    With `here` the agent belongs to the working folder: its project is counted, its `.sidecar.yaml` followed.
    """
    if here:
        follow_checkout(args)
    text = signed(args.places, make_pass(args, lifetime_seconds, here=here))
    state = serving(args.places, environ, warm=args.gateway or "")
    gateway = args.gateway or state["gateway"]
    state = _with_key(args.places, state, gateway)
    return changes(environ, state, gateway, client.base_url(state), text)


def serving(places: Places, environ: Mapping[str, str], warm: str | None = None) -> State:
    """The daemon, started if none runs, with the shell's variables in its memory.  What the user should know goes to stderr.

    `warm` is that of `client.verified`.
    """
    state = client.verified(places, warm)
    if state is None or client.is_ending(state):
        from sidecar.launch import spawn  # noqa: PLC0415 - subprocess is slow to import, and mostly not needed

        state, notice = spawn.start(places, environ, warm=warm)
        if notice:
            say(notice)
    for mismatch in mismatches(state, places):
        say(f"{mismatch}: sidecar restart")
    if ledger := ledger_error(state):
        say(ledger, LEDGER_HINT)
    if state["config_error"]:
        say(f"{state['config_error']}; the last good configuration is in force")
    if handed := {name: environ[name] for name in state["variables"] if environ.get(name)}:
        client.ask(places, state, "POST", "/_sidecar/variables", handed)
    return state


def mismatches(state: State, places: Places) -> list[str]:
    """How the running daemon differs from the one that this command would start."""
    found = []
    if state["version"] != __version__:
        found.append(f"the running daemon is version {state['version']}, this is {__version__}")
    theirs, ours = state["config"], places.config_file
    if theirs is None and places.config_given:
        found.append(f"the running daemon reads no configuration file, not {ours}")
    elif theirs is not None and os.path.realpath(theirs) != os.path.realpath(ours):
        found.append(f"the running daemon reads {theirs}, not {ours}")
    return found


def ledger_error(state: State) -> str | None:
    """What keeps the running daemon from recording requests, None if nothing does.  A daemon of an earlier version does not tell."""
    error = state["ledger"]["error"] if "ledger" in state else None
    return f"the ledger: {error}" if error else None


def _with_key(places: Places, state: State, gateway: str) -> State:
    """The state, in which the gateway is known; the daemon is asked for what the state file does not tell."""
    known = state["gateways"].get(gateway)
    if known is not None and known["key"]:
        return state
    if known is None:
        # The daemon may have read a newer configuration since.
        client.ask(places, state, "GET", "/_sidecar/status")
        state = daemon_state.read(places.state_file) or state
        if gateway not in state["gateways"]:
            raise UnknownGateway(gateway, state["gateways"])
    answer = client.ask(places, state, "GET", f"/_sidecar/credential?gateway={gateway}")
    if error := answer.get("error"):
        raise CredentialFailed(f"gateway {gateway!r} cannot be used: {error}")
    if not answer.get("key"):
        raise NoCredential(f"there is no key for gateway {gateway!r}", _way_to_a_key(places, state, gateway))
    return state


def _way_to_a_key(places: Places, state: State, gateway: str) -> str:
    """What to type.  Where another gateway has a key, going through that one may be what was meant."""
    login = f"sidecar login {gateway}"
    for other in state["gateways"]:
        if other != gateway and client.ask(places, state, "GET", f"/_sidecar/credential?gateway={other}").get("key"):
            return f"{login}; or go through {other}, which has one: sidecar use {other}"
    return login
