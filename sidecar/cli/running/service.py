"""`serve`, `start`, `stop`, `restart`, `status`: the daemon's life.

No process is ever signalled: the daemon is asked over its own paths, after it has proved that it is ours.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from sidecar.errors import NotRunning, SidecarError
from sidecar.launch import client, daemon_state, spawn, troubles
from sidecar.launch.prepare import LEDGER_HINT, ledger_error, mismatches, serving
from sidecar.launch.surroundings import lost_output, say

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from sidecar.launch.daemon_state import State
    from sidecar.launch.places import Places

_HANDED_OVER = "SIDECAR_ENVIRONMENT_ON_STDIN"
_SETTLE_SECONDS = 5.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.02


def serve(args: Namespace) -> int:
    if os.environ.pop(_HANDED_OVER, None) is None:
        return _serve_clean(args.places)
    from sidecar.server import start as server  # noqa: PLC0415 - the other commands need not load it

    environ = json.load(sys.stdin.buffer)
    if sys.platform != "win32":
        os.wait()  # for the process that wrote it

    def ready(said: Mapping[str, object]) -> None:
        state = daemon_state.read(args.places.state_file)
        if "error" in said or state is None:
            say(str(said.get("error")), str(said.get("hint") or ""))
            return
        if said["notice"]:
            say(str(said["notice"]))
        print(f"{_serving_line(state)}  Ctrl-C stops.")
        lost_output()  # agents are served whether or not anybody can read this line

    return server.serve(args.places, environ, console=True, ready=ready)


def start(args: Namespace) -> int:
    print(_serving_line(serving(args.places, os.environ)))
    return 0


def stop(args: Namespace) -> int:
    print("Stopped." if _stop(args.places, now=args.now) else "The sidecar is not running.")
    return 0


def restart(args: Namespace) -> int:
    """The new one takes over lock and port at once; the old one finishes its streams."""
    state, notice = spawn.start(args.places, os.environ, replace=True)
    if notice:
        say(notice)
    print(_serving_line(state))
    return 0


def status(args: Namespace) -> int:
    state = client.verified(args.places)
    if state is None:
        silent = daemon_state.held(args.places.lock_file)
        words = "The sidecar does not answer: it is starting, ending, or stuck." if silent else "The sidecar is not running."
        print(json.dumps({"running": False}) if args.json else words)
        return NotRunning.exit_code
    report = client.ask(args.places, state, "GET", "/_sidecar/status")
    # Here, not above: what reads the ledger and what draws tables takes longer than asking the daemon.
    from sidecar.cli.reports import sessions  # noqa: PLC0415
    from sidecar.cli.reports.tables import print_table  # noqa: PLC0415

    recent = sessions.of_the_last_hour(args.places.ledger)
    if args.json:
        print(json.dumps({**report, "sessions_of_the_last_hour": recent}))
        return 0
    print("Ending: no new requests are taken, the open streams go on." if client.is_ending(state) else _serving_line(state))
    print(f"process {state['pid']}, version {state['version']}, since {state['started_at']}, open streams: {report['streams']}")
    print(f"configuration: {state['config'] or 'none, the defaults hold'}")
    if ledger := ledger_error(state):
        print(f"{ledger}\n  {LEDGER_HINT}")
    if state["config_error"]:
        print(f"  it cannot be used, the last good one is in force: {state['config_error']}")
    for trouble in _list(report, "troubles"):
        print(troubles.words(trouble))
    for budget in _list(report, "budgets"):
        if budget["session"] is None or budget["state"] != "ok":
            print(_budget_line(budget))
    for mismatch in mismatches(state, args.places):
        print(f"  {mismatch}: sidecar restart")
    if recent:
        columns = sessions.columns(recent)
        print_table(
            tuple(columns),
            [tuple(show(row) for show in columns.values()) for row in recent],
            title="sessions of the last hour:",
            numbers=sessions.NUMBERS,
            dispensable=sessions.DISPENSABLE,
        )
    return 0


def _list(report: Mapping[str, object], name: str) -> list[Any]:
    """A member of the daemon's answer; empty from a daemon of an earlier version, which does not know it."""
    value = report.get(name)
    return value if isinstance(value, list) else []


def _budget_line(told: Mapping[str, object]) -> str:
    """`told` as `sidecar.budgets.words.told` has it."""
    from sidecar.cli.reports.tables import plain  # noqa: PLC0415 - a session's name comes from the wire; rich takes its time

    state = {"ok": "", "near": "nearly spent, ", "spent": "spent, "}[str(told["state"])]
    session = f" (session {told['session']})" if told["session"] is not None else ""
    unpriced = f", {told['unpriced_requests']} requests of unknown cost not counted" if told.get("unpriced_requests") else ""
    return plain(f"budget {told['budget']}{session}: {state}{told['left']} ({told['percent']} % spent{unpriced})")


def _serving_line(state: State) -> str:
    return f"Serving on {client.base_url(state)}, gateway {state['gateway']}."


def _stop(places: Places, *, now: bool) -> bool:
    """Whether there was one to stop.  Returns when its lock is free."""
    state = _settled(places)
    if state is None:
        if daemon_state.held(places.lock_file):
            raise _stuck(places)
        return False
    instance = state["instance"]
    streams = client.ask(places, state, "POST", "/_sidecar/stop", {"now": now}).get("streams")
    try:
        if streams and not now:
            print(f"Waiting for {streams} open {'stream' if streams == 1 else 'streams'}.  Ctrl-C: do not wait.", flush=True)
        # Without a limit of ours: the daemon has its own, timeouts.drain.
        ended = _ended(places, instance, _END_SECONDS if now else math.inf)
    except KeyboardInterrupt:
        client.ask(places, state, "POST", "/_sidecar/stop", {"now": True})
        ended = _ended(places, instance, _END_SECONDS)
    if not ended:
        raise _stuck(places)
    return True


def _ended(places: Places, instance: str, wait_seconds: float) -> bool:
    """Wait until the instance has let go of its lock, or another one has been started in its place."""
    deadline = time.monotonic() + wait_seconds
    while daemon_state.held(places.lock_file):
        state = daemon_state.read(places.state_file)
        if state is not None and state["instance"] != instance:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _settled(places: Places) -> State | None:
    """The daemon that answers; one that is starting or ending gets a moment to do either."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        state = client.verified(places)
        if state or not daemon_state.held(places.lock_file) or time.monotonic() > deadline:
            return state
        time.sleep(_POLL_SECONDS)


def _stuck(places: Places) -> SidecarError:
    state = daemon_state.read(places.state_file)
    pid = state["pid"] if state else "PID"
    # Not signalled from here: the number may belong to another process by now, which a person can see.
    return SidecarError(f"a sidecar holds {places.lock_file} and does not answer", f"see whether it is process {pid}, then: kill {pid}")


def _serve_clean(places: Places) -> int:
    """Start over with an environment that holds no key; the one of the shell is handed over in memory, on stdin."""
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "sidecar", *sys.argv[1:]]
    environment = {**spawn.clean_environment(os.environ, places), _HANDED_OVER: "1"}
    return _again(command, environment, json.dumps(dict(os.environ)).encode())


if sys.platform == "win32":
    import subprocess

    def _again(command: list[str], environment: dict[str, str], handed: bytes) -> int:
        return subprocess.run(command, env=environment, input=handed, check=False).returncode  # noqa: S603 - ourselves

else:

    def _again(command: list[str], environment: dict[str, str], handed: bytes) -> int:
        reading, writing = os.pipe()
        if os.fork() == 0:  # a pipe holds less than an environment may: somebody has to stay and write
            os.close(reading)
            with open(writing, "wb") as pipe:
                pipe.write(handed)
            os._exit(0)
        os.close(writing)
        os.dup2(reading, 0)
        os.execve(sys.executable, command, environment)  # noqa: S606 - ourselves
