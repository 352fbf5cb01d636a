"""`status`, `stop`, `start` against a fake daemon."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from sidecar.launch import daemon_state as state
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Usage

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from exchanges import closing, opening, reading


def test_status_is_5_when_nothing_runs(home):
    assert (home.run("status").returncode, home.run("status").stdout) == (5, "The sidecar is not running.\n")
    result = home.run("status", "--json")
    assert (result.returncode, json.loads(result.stdout)) == (5, {"running": False})


def test_status_is_0_while_the_daemon_serves(home, daemon):
    process = daemon(streams=2, config="/etc/sidecar.yaml", config_error="config.yaml:1:10: no")
    result = home.run("status", "--json")
    assert result.returncode == 0
    report = json.loads(result.stdout)
    assert list(report) == [
        "running",
        "pid",
        "port",
        "version",
        "instance",
        "started_at",
        "gateway",
        "streams",
        "config",
        "sessions_of_the_last_hour",
    ]
    assert report["sessions_of_the_last_hour"] == []
    assert (report["running"], report["pid"], report["streams"]) == (True, process.pid, 2)
    assert report["config"] == {"path": "/etc/sidecar.yaml", "error": "config.yaml:1:10: no"}
    shown = home.run("status")
    assert (shown.returncode, "config.yaml:1:10: no" in shown.stdout) == (0, True)


def test_status_lists_the_sessions_of_the_last_hour_with_gateway_and_spend(home, daemon):
    daemon()
    ledger = Ledger(home.places.ledger, "one", print)
    ledger.start()
    for number, (session, gateway, ago) in enumerate((("now", "vercel", 9), ("old", "edgee", 4000), ("then", "edgee", 2000)), 1):
        ledger.open(opening(number, started_at=time.time() - ago, session=session, gateway=gateway))
        ledger.close(closing(number, finished_at=time.time() - ago + 1, reading=reading(usage=Usage(1000, 100))))
    ledger.stop()
    lines = [line.split() for line in home.run("status").stdout.splitlines()]
    shown = [
        (line[0], line[-3], line[-1]) for line in lines[lines.index(["sessions", "of", "the", "last", "hour:"]) + 1 :] if "sidecar" in line
    ]
    assert shown == [("then", "edgee", "$0.0045"), ("now", "vercel", "$0.0045")]
    assert [row["key"] for row in json.loads(home.run("status", "--json").stdout)["sessions_of_the_last_hour"]] == ["then", "now"]


def test_a_daemon_that_was_killed_leaves_nothing_running(home, daemon):
    process = daemon()
    process.kill()
    process.wait()
    assert home.run("status").returncode == 5
    assert home.run("stop").stdout == "The sidecar is not running.\n"


def test_a_daemon_that_does_not_answer_is_not_signalled(home, daemon):
    process = daemon()
    (home.path / "daemon.json").write_text((home.path / "daemon.json").read_text().replace('"port": ', '"port": 1, "was": '))
    assert "does not answer" in home.run("status").stdout
    result = home.run("stop")
    assert result.returncode == 1
    assert f"kill {process.pid}" in result.stderr
    assert process.poll() is None


def test_start_is_content_with_a_daemon_that_serves(home, daemon):
    process = daemon()
    result = home.run("start")
    assert result.returncode == 0
    assert "Serving on http://127.0.0.1:" in result.stdout
    assert "gateway gw" in result.stdout
    assert process.poll() is None


def test_stop_returns_when_the_lock_is_free(home, daemon):
    process = daemon()
    result = home.run("stop")
    assert (result.returncode, result.stdout) == (0, "Stopped.\n")
    assert not state.held(home.places.lock_file)
    assert process.wait(5) == 0
    assert home.run("stop").returncode == 0


def test_stop_says_how_many_streams_it_waits_for_and_a_second_ctrl_c_means_now(home, daemon):
    daemon(streams=3)
    with home.popen("stop") as process:
        assert process.stdout.readline() == b"Waiting for 3 open streams.  Ctrl-C: do not wait.\n"
        time.sleep(0.1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"Stopped.\n"
        assert process.wait(5) == 0


def test_stop_now_does_not_wait(home, daemon):
    daemon(streams=3)
    result = home.run("stop", "--now")
    assert (result.returncode, result.stdout) == (0, "Stopped.\n")
    assert home.asked()[-1] == ["POST", "/_sidecar/stop", {"now": True}]
