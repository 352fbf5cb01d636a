"""A sidecar's life: take the lock, listen, say where, serve; on the way out let live streams finish, then let go of everything.

The order of the end matters: no new exchanges, the listener, the live streams, the connections to the gateways, the ledger, the
state file, the lock.  A handover ends the same way, only that lock and port go first, so that the next sidecar serves while this
one still finishes its streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from typing import TYPE_CHECKING

import structlog

from sidecar import __version__
from sidecar.budgets.spending import Spending
from sidecar.budgets.words import amount, named
from sidecar.config.live import LiveSettings
from sidecar.config.load import load
from sidecar.credentials.vault import Variables, Vault
from sidecar.errors import SidecarError
from sidecar.launch import client
from sidecar.launch.daemon_state import Lock, held
from sidecar.launch.passkey import PassKey
from sidecar.launch.places import make_private
from sidecar.ledger.ids import Ids
from sidecar.ledger.schema import check_version
from sidecar.ledger.writer import Ledger
from sidecar.limits import limited
from sidecar.observe import logs
from sidecar.proxy.budgets import standing
from sidecar.proxy.descriptors import raise_limit
from sidecar.proxy.exchange import Parts
from sidecar.proxy.upstream import Upstream
from sidecar.server.app import App
from sidecar.server.listen import BACKLOG, listen
from sidecar.server.own import Own
from sidecar.server.state import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidecar.budgets.budget import Account, Spent
    from sidecar.config.settings import Settings
    from sidecar.launch.places import Places
    from sidecar.server.listener import Listener

log = structlog.get_logger("sidecar.server")

_REPORT = "please report this; the traceback is in the log: sidecar logs -n 1"

SWITCH_SECONDS = 0.0005
#: A running sidecar lets go of lock and port at once when asked.
HANDOVER_SECONDS = 5.0
#: Requests that are on their way when the port is handed over are still served by the one they were sent to.
ON_THE_WAY_SECONDS = 0.1
#: For what is still being answered when nothing is under way any more: the sidecar's own paths.
LAST_ANSWERS_SECONDS = 1.0
#: A second SIGTERM, or `stop --now`: what is still running gets this long to be cut properly.
CUT_SECONDS = 2.0


def serve(
    places: Places, environ: Mapping[str, str], *, console: bool, ready: Callable[[dict[str, object]], None], replace: bool = False
) -> int:
    """Serve until told to stop, with `replace` in place of the sidecar that runs here now.

    `ready` gets {"port", "notice"} once it serves, or {"error", "hint", "exit_code"} if it does not.
    """
    try:
        raise_limit()
        settings = load(places)
        check_version(places.ledger)  # before the sidecar that runs here lets go
        lock = _take_over(places) if replace else Lock(places.lock_file)
        if not replace and not lock.acquire():
            raise SidecarError("a sidecar is already running here", "see: sidecar status")
        _undumpable()
        # Python's own 5 ms is how long the ledger's thread may keep an event waiting.
        sys.setswitchinterval(SWITCH_SECONDS)
        make_private((places.keys,))
        variables = Variables()
        variables.update(environ, settings.variables)
        vault = Vault(places.keys, variables, places.home)

        def log_at(level: str) -> None:
            logs.configure(level, places.logs, vault.in_use, console=console)

        log_at(settings.log_level)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(Life(places, settings, variables, vault, lock, log_at, foreground=console).run(ready))
    except (SidecarError, OSError) as error:
        told = error if isinstance(error, SidecarError) else _cannot_write(error, places)
        ready({"error": told.message, "hint": told.hint, "exit_code": told.exit_code})
        return told.exit_code
    except Exception as error:  # noqa: BLE001 - whoever starts a sidecar is shown no traceback
        logs.close()
        with contextlib.suppress(OSError):
            logs.record_failure(places.logs, "sidecar.failed", error)
        ready({"error": f"the sidecar ended: unexpected {type(error).__name__}: {error}", "hint": _REPORT, "exit_code": 1})
        return 1
    finally:
        logs.close()
    return 0


def _cannot_write(error: OSError, places: Places) -> SidecarError:
    """A full disk, a read-only home."""
    return SidecarError(f"{error.filename or places.state_dir}: {error.strerror}", f"the sidecar has to write below {places.state_dir}")


class Life:
    """One instance, from its lock to its end.  `stop` may be called from the event loop at any time."""

    def __init__(
        self,
        places: Places,
        settings: Settings,
        variables: Variables,
        vault: Vault,
        lock: Lock,
        log_at: Callable[[str], None],
        *,
        foreground: bool = False,
    ) -> None:
        self._places = places
        self._variables = variables
        self._vault = vault
        self._lock = lock
        self._log_at = log_at
        self._foreground = foreground
        self._instance = uuid.uuid4().hex
        self._live = LiveSettings(places, settings)
        self._stopping = asyncio.Event()
        self._cutting = asyncio.Event()
        self._handover: Lock | None = None
        self._handover_asked = asyncio.Event()

    async def run(self, ready: Callable[[dict[str, object]], None]) -> None:
        settings = self._live.current
        sock, notice = listen(settings, self._places.state_file)
        host, port = sock.getsockname()[:2]
        upstream = Upstream(self._variables.get)
        loop = asyncio.get_running_loop()

        def publish_health() -> None:
            """Called in the ledger's thread."""
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks this process any more
                loop.call_soon_threadsafe(publisher.publish_again)

        ledger = Ledger(
            self._places.ledger,
            self._instance,
            lambda event, text: log.error(event, problem=text),
            Spending(_near),
            logs.log_exchange,
            publish_health,
        )
        parts = Parts(self._instance, self._live, self._vault, upstream, ledger, Ids())
        publisher = Publisher(self._places, self._live, ledger, self._instance, host, port)
        pass_key = PassKey(self._places.pass_key)
        app = App(Own(self._places, parts, pass_key, self._variables, publisher, self.stop))
        await self._live.refresh()
        self._live.on_change.append(lambda: self._changed(publisher, ledger))
        ledger.start(alive=_draining(self._places.state_dir))
        ledger.configure(self._live.current.ledger_keep_seconds)
        await standing(self._live.current.budgets, ledger)  # the first request need not wait for the sums
        self._listen_to_signals()

        listener = app.listener()
        await listener.start(sock, BACKLOG)
        publisher.publish()
        log.info("sidecar.started", version=__version__, instance=self._instance, port=port, gateway=settings.gateway, config=settings.path)
        ready({"port": port, "notice": notice})

        try:
            await upstream.prepare(self._live.current.gateways[self._live.current.gateway])
        except Exception:
            log.exception("gateway.unprepared")  # only sooner than the first request, which tells what is wrong
        await self._stopping.wait()
        handing_over = asyncio.ensure_future(self._hand_over(listener, publisher))
        if self._handover is not None:
            await handing_over
        app.is_draining = publisher.is_draining = True
        publisher.publish_again()
        log.info("sidecar.draining", streams=len(parts.live))
        await self._drained(parts.live)
        handing_over.cancel()
        await listener.close(LAST_ANSWERS_SECONDS)
        upstream.close()
        await asyncio.to_thread(ledger.stop)
        log.info("sidecar.stopped", instance=self._instance)
        if self._handover is not None:
            _forget(_draining_path(self._places.state_dir, self._instance))
            self._handover.release()
        self._lock.release()  # `daemon.json` stays: the next one takes the same port

    def stop(self, *, now: bool = False, handover: bool = False) -> None:
        """Begin the end; `now` cuts what is under way, `handover` frees lock and port at once, also in the middle of a drain."""
        if handover and self._handover is None:
            self._handover = Lock(_draining_path(self._places.state_dir, self._instance))
            self._handover.acquire()
            self._handover_asked.set()
        self._stopping.set()
        if now:
            self._cutting.set()

    async def _hand_over(self, listener: Listener, publisher: Publisher) -> None:
        """Once a handover is asked for."""
        await self._handover_asked.wait()
        listener.stop()
        publisher.stop()
        await asyncio.sleep(0)  # uvloop closes the socket in its next round: the lock must not be free before the port is
        self._lock.release()
        await asyncio.sleep(ON_THE_WAY_SECONDS)
        listener.close_idle()  # an agent's next request has to find the next sidecar

    def _changed(self, publisher: Publisher, ledger: Ledger) -> None:
        settings, error = self._live.current, self._live.error
        if error is not None:
            log.error("config.rejected", problem=error)
        else:
            self._log_at(settings.log_level)
            log.info("config.reloaded", path=settings.path, gateway=settings.gateway)
        ledger.configure(settings.ledger_keep_seconds)
        self._vault.forget()
        publisher.keys_unknown()

    async def _drained(self, live: set[asyncio.Task[object]]) -> None:
        """Wait for the exchanges under way, up to `timeouts.drain` or until told that now means now; then cut the rest."""
        cutting = asyncio.ensure_future(self._cutting.wait())
        try:
            with contextlib.suppress(TimeoutError):
                async with limited(self._live.current.timeouts.drain):
                    while live and not cutting.done():
                        await asyncio.wait({*live, cutting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cutting.cancel()
        if live:
            log.warning("sidecar.cutting", streams=len(live))
            for task in live:
                task.cancel()
            await asyncio.wait(live, timeout=CUT_SECONDS)

    def _listen_to_signals(self) -> None:
        """SIGTERM, SIGINT and SIGQUIT drain, a second one cuts.  SIGHUP drains if there is a terminal that can be closed.

        In the background SIGHUP changes nothing: the configuration is read again as soon as its file changes.
        """
        loop = asyncio.get_running_loop()

        def end() -> None:
            self.stop(now=self._stopping.is_set())

        def hang_up() -> None:  # a terminal that closes may send two
            if self._foreground:
                self.stop()
            else:
                log.info("signal.ignored", signal="SIGHUP")

        handlers = {"SIGTERM": end, "SIGINT": end, "SIGQUIT": end, "SIGHUP": hang_up}
        for name, handler in handlers.items():
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):  # nohup
                continue
            if sys.platform == "win32":
                signal.signal(number, lambda *_, handler=handler: loop.call_soon_threadsafe(handler))
            else:
                loop.add_signal_handler(number, handler)


def _near(account: Account, spent: Spent, threshold: int) -> None:
    unit = account.budget.limit.unit
    log.warning(
        "budget.near",
        budget=named(account.budget),
        percent=threshold,
        spent=amount(spent.of(account.budget.limit), unit),
        session=account.session,
    )


def _take_over(places: Places) -> Lock:
    """Everything is loaded by now, so that port and lock are free for a moment only."""
    lock = Lock(places.lock_file)
    running = client.verified(places)
    if running is not None:
        client.ask(places, running, "POST", "/_sidecar/stop", {"handover": True})
    if not lock.acquire(wait_seconds=HANDOVER_SECONDS):
        raise SidecarError("the running sidecar does not let go", "sidecar stop --now")
    return lock


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  # there is none for Windows

    return uvloop.new_event_loop


def _undumpable() -> None:
    """Linux: no core dump, and no other process of the same user reads this one's memory through /proc."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  # nowhere else

        pr_set_dumpable = 4
        ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)


def _draining_path(folder: str, instance: str) -> str:
    return os.path.join(folder, f"draining-{instance}.lock")


def _draining(folder: str) -> set[str]:
    """The instances that have handed over and still finish their streams: their rows are their own."""
    alive = set()
    for name in os.listdir(folder):
        instance = name.removeprefix("draining-").removesuffix(".lock")
        if name == f"draining-{instance}.lock":
            path = _draining_path(folder, instance)
            if held(path):
                alive.add(instance)
            else:
                _forget(path)
    return alive


def _forget(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
