"""Commands under what a shell, cron, a container or a full disk does to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.ledger.writer import Ledger

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))
from exchanges import closing, opening

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="POSIX shells, /dev/full")

PRINTING = (
    "status", "status --json", "top", "usage", "usage --json", "usage --csv", "usage --by tag", "usage export", "gateways", "doctor",
    "doctor --json", "config show", "token", "env", "logs", "--help", "usage --help", "start",
)  # fmt: skip


@pytest.fixture
def shop(home, daemon):
    """A daemon, a log and a ledger with a tag that is not ASCII; streams are answered for `top`."""
    daemon()
    ledger = Ledger(home.places.ledger, "one", print)
    ledger.start()
    ledger.open(opening(1, started_at=time.time() - 3, tags=("größe-日本",)))
    ledger.close(closing(1, finished_at=time.time()))
    ledger.stop()
    (home.path / "logs").mkdir(exist_ok=True)
    (home.path / "logs" / "sidecar.log").write_text('{"time":"t","level":"info","event":"größe-日本"}\n')
    return home


def shell(home, line: str, *, encoding: str = "utf-8", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line.replace("sidecar", f"{sys.executable} -m sidecar", 1)],
        env=home.environ | environ,
        cwd=home.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding=encoding,
        errors="replace",
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("command", "unbuffered"), [*((command, "") for command in PRINTING), ("status", "1"), ("usage --csv", "1"), ("usage --help", "1")]
)
def test_output_that_cannot_be_written_is_a_message_and_an_exit_code(shop, command, unbuffered):
    done = shell(shop, f"sidecar {command} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "sidecar: the output could not be written: No space left on device"
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("command", "encoding"),
    [*((command, "ascii") for command in PRINTING), *(("usage --by tag", encoding) for encoding in ("latin-1", "cp1252", "utf-8:strict"))],
)
def test_an_encoding_without_our_signs_costs_signs_only(shop, command, encoding):
    done = shell(shop, f"sidecar {command}", PYTHONIOENCODING=encoding)
    expected = shell(shop, f"sidecar {command}", PYTHONIOENCODING="utf-8")
    assert done.returncode == expected.returncode
    assert done.stderr == expected.stderr
    assert len(done.stdout.splitlines()) == len(expected.stdout.splitlines()) > 0


def test_doctors_marks_differ_in_every_encoding(shop):
    marks = {line[0] for line in shell(shop, "sidecar doctor", PYTHONIOENCODING="ascii").stdout.splitlines() if line[0] != " "}
    assert marks <= set("+!x")
    assert len(marks) > 1


def test_what_the_encoding_has_is_shown(shop):
    assert "größe-??" in shell(shop, "sidecar usage --by tag", encoding="latin-1", PYTHONIOENCODING="latin-1").stdout


@pytest.mark.parametrize(
    ("command", "closed"),
    [*((command, "<&- >&- 2>&-") for command in ("status", "usage", "token", "run true", "start")), ("usage", ">&-"), ("usage", "<&-")],
)
def test_closed_streams_are_no_fault(shop, command, closed):
    done = shell(shop, f"sidecar {command} {closed}")
    assert done.returncode == 0
    assert "Error" not in done.stderr


def test_an_agent_gets_its_streams_as_they_were(shop):
    shop.script("agent", f"#!{sys.executable}\nimport sys\nsys.exit(3 if sys.stdout is None else 4 if sys.stdin is None else 0)\n")
    assert shell(shop, "sidecar run agent >&-").returncode == 3
    assert shell(shop, "sidecar run agent <&-").returncode == 4
    shop.script("agent", "#!/bin/sh\nreadlink /proc/$$/fd/2\n")
    assert shell(shop, "sidecar run agent 2>/dev/full").stdout == "/dev/full\n"


def test_notices_that_cannot_be_written_do_not_stop_an_agent(home, daemon):
    daemon(config_error="config.yaml:1:1: no")
    home.script("agent", "#!/bin/sh\necho started\n")
    assert shell(home, "sidecar run agent 2>/dev/full").stdout == "started\n"


@pytest.mark.parametrize("columns", ["0", "-1", "²", "many", ""])
@pytest.mark.parametrize("command", ["usage", "gateways", "top"])
def test_columns_that_is_no_width_is_as_good_as_none(shop, command, columns):
    without = shell(shop, f"sidecar {command}")
    done = shell(shop, f"sidecar {command}", COLUMNS=columns, LINES=columns)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:1] == without.stdout.splitlines()[:1] != []


@pytest.mark.parametrize(
    ("command", "code"), [("status", 0), ("usage", 0), ("token", 0), ("run true", 0), ("run nothing", 127), ("--config here.yaml usage", 1)]
)
def test_in_a_working_folder_that_is_gone(shop, command, code):
    done = shell(shop, f"mkdir gone && cd gone && rmdir ../gone && exec sidecar {command}", PATH=f".::{shop.environ['PATH']}")
    assert done.returncode == code, done.stderr
    if code == 1:
        assert done.stderr == "sidecar: the working folder has been deleted\n  cd to a folder that exists\n"


@pytest.mark.parametrize("command", ["run agent", "usage --by tag", "doctor --json", "status"])
def test_modules_of_another_python_are_passed_over_and_the_agent_gets_them(shop, tmp_path, command):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("argparse", "msgspec", "rich", "structlog", "yaml", "subprocess", "aiohttp"):
        (foreign / f"{name}.py").write_text("raise ImportError('of another Python')\n")
    shop.script("agent", "#!/bin/sh\necho $PYTHONPATH\n")
    expected = shell(shop, f"sidecar {command}")
    done = shell(shop, f"sidecar {command}", PYTHONPATH=str(foreign))
    assert (done.returncode, done.stderr) == (expected.returncode, expected.stderr)
    if command == "run agent":
        assert done.stdout == f"{foreign}\n"


def test_the_folders_of_this_python_stay_when_pythonpath_names_them(shop):
    import rich  # noqa: PLC0415  # for where it lies

    own = os.pathsep.join((str(Path(rich.__file__).parent.parent), os.path.dirname(os.__file__), str(Path(__file__).parents[2])))
    assert shell(shop, "sidecar usage", PYTHONPATH=own).returncode == 0


@pytest.mark.parametrize(
    "variable", ["PYTHONWARNINGS=error", "PYTHONOPTIMIZE=2", "PYTHONSTARTUP=/nonexistent", "PYTHONUTF8=0", "LC_ALL=xx_YY"]
)
def test_pythons_own_variables_change_nothing(shop, variable):
    name, _, value = variable.partition("=")
    done = shell(shop, "sidecar usage --by tag", **{name: value})
    assert (done.returncode, done.stderr) == (0, "")


BROKEN = "import sys; import sidecar.cli.reports.usage as usage; usage.usage = {}.__getitem__; from sidecar.launch.main import main; sys.exit(main(['usage']))"


def test_an_error_that_nobody_thought_of_is_a_message_and_its_traceback_goes_to_the_log(shop):
    done = subprocess.run([sys.executable, "-c", BROKEN], env=shop.environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    first, hint = done.stderr.splitlines()
    assert first.startswith("sidecar: usage: unexpected TypeError: unhashable type")
    assert "sidecar logs -n 1" in hint
    kept = json.loads((shop.path / "logs" / "sidecar.log").read_text().splitlines()[-1])
    assert (kept["level"], kept["event"], kept["command"]) == ("error", "command.failed", "usage")
    assert "Traceback (most recent call last)" in kept["exception"]


def test_where_there_can_be_no_log_the_traceback_is_shown(shop):
    code = BROKEN.replace("import sys;", "import sys; sys.modules['structlog'] = None;")
    done = subprocess.run([sys.executable, "-c", code], env=shop.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


def test_a_ledger_that_cannot_be_written_is_told_where_people_look(home, daemon):
    daemon(ledger={"error": "ledger.db is a folder"})
    home.script("agent", "#!/bin/sh\necho started\n")
    ran = home.run("run", "agent")
    assert ran.stdout == "started\n"
    assert ran.stderr.startswith("sidecar: the ledger: ledger.db is a folder\n")
    assert "the ledger: ledger.db is a folder" in home.run("status").stdout
    examined = json.loads(home.run("doctor", "--json").stdout)
    assert {"level": "failure", "what": "the ledger: ledger.db is a folder"}.items() <= next(
        finding for finding in examined["findings"] if "ledger" in finding["what"]
    ).items()
