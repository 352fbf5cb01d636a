from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX scripts")


@pytest.fixture
def target(home):
    return home.user / ".local" / "bin" / "claude-vercel"


@pytest.fixture
def claude(home):
    return home.agent("claude")


def test_it_writes_a_script_into_the_users_own_folder(home, claude, target):
    before = os.umask(0o077)
    try:
        result = home.run("wrapper", "vercel")
    finally:
        os.umask(before)
    assert result.returncode == 0, result.stderr
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert f"{target.parent} is not on PATH" in result.stdout
    assert os.listdir(target.parent) == ["claude-vercel"]
    assert subprocess.run(["sh", "-n", target], check=False).returncode == 0


def test_a_folder_that_is_on_path_is_not_mentioned(home, claude):
    assert "not on PATH" not in home.run("wrapper", "vercel", "--dir", str(home.bin)).stdout


def test_the_script_runs_the_agent_with_the_gateway_pinned(home, claude, target, daemon):
    known = {"beside": False, "agent_env": {}, "remove": [], "key": True}
    daemon(gateways={"vercel": known, "gw": known})
    home.run("wrapper", "vercel")
    result = subprocess.run(
        [target, "-p", "two words", "$x"], env=home.environ, cwd=home.folder, capture_output=True, text=True, check=False
    )
    argv, environ = json.loads(result.stdout)
    assert argv == [str(claude), "-p", "two words", "$x"]
    assert environ["ANTHROPIC_AUTH_TOKEN"].startswith("sidecar-pass-")


def test_a_sidecar_that_has_moved_is_found_on_path(home, claude, target):
    home.script("sidecar", "#!/bin/sh\necho from PATH: $*\n")
    home.run("wrapper", "vercel")
    lines = target.read_text().splitlines()
    path = next(line for line in lines if line.startswith("sidecar=")).removeprefix("sidecar=")
    assert os.path.isabs(path)
    target.write_text(target.read_text().replace(path, "/no/longer/here/sidecar"))
    result = subprocess.run([target, "-p"], env=home.environ, capture_output=True, text=True, check=True)
    assert result.stdout == f"from PATH: run -g vercel -- {claude} -p\n"


def test_names_with_spaces_and_quotes_are_quoted(home, tmp_path):
    odd = tmp_path / "it's $HOME"
    odd.mkdir()
    agent = shutil.copy(home.agent("claude"), odd / "my agent")
    home.script("sidecar", '#!/bin/sh\nfor word; do echo "<$word>"; done\n')
    assert home.run("wrapper", "vercel", "--agent", str(agent), "--name", "x y", "--dir", str(odd)).returncode == 0
    written = (odd / "x y").read_text()
    (odd / "x y").write_text(written.replace("[ -x", "[ x ="))
    result = subprocess.run([odd / "x y", "last"], env=home.environ, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["<run>", "<-g>", "<vercel>", "<-->", f"<{agent}>", "<last>"]


def test_writing_it_again_is_no_fault(home, claude, target):
    assert home.run("wrapper", "vercel").returncode == 0
    assert home.run("wrapper", "vercel").returncode == 0


def test_a_file_that_it_did_not_write_is_left_alone(home, claude, target):
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    result = home.run("wrapper", "vercel")
    assert result.returncode == 1
    assert "--name" in result.stderr
    assert target.read_text() == "mine"


@pytest.mark.parametrize("there", [True, False], ids=["to its own file", "dangling"])
def test_it_does_not_write_through_a_link(home, claude, target, there):
    home.run("wrapper", "vercel", "--dir", str(home.folder))
    victim = home.folder / ("claude-vercel" if there else "nothing")
    before = victim.read_bytes() if there else None
    target.parent.mkdir(parents=True)
    target.symlink_to(victim)
    assert home.run("wrapper", "vercel").returncode == 1
    assert target.is_symlink()
    assert (victim.read_bytes() if there else None) == before


def test_it_never_wraps_itself(home, claude):
    """A wrapper that is called like the agent comes first on PATH; the next one still starts the agent."""
    early = home.user / "early"
    assert home.run("wrapper", "vercel", "--name", "claude", "--dir", str(early)).returncode == 0
    home.environ["PATH"] = f"{early}{os.pathsep}{home.environ['PATH']}"
    assert home.run("wrapper", "vercel", "--name", "claude", "--dir", str(early)).returncode == 0
    assert str(claude) in (early / "claude").read_text()
    claude.unlink()
    result = home.run("wrapper", "vercel", "--name", "other")
    assert result.returncode == 1
    assert "wrapper" in result.stderr


def test_run_passes_over_a_wrapper_of_the_agents_name(home, claude, daemon):
    daemon()
    early = home.user / "early"
    home.run("wrapper", "vercel", "--name", "claude", "--dir", str(early))
    home.environ["PATH"] = f"{early}{os.pathsep}{home.environ['PATH']}"
    assert json.loads(home.run("run", "claude").stdout)[0] == [str(claude)]


def test_an_agent_that_is_not_there_is_named(home):
    result = home.run("wrapper", "vercel", "--agent", "no-such-agent")
    assert result.returncode == 1
    assert "--agent" in result.stderr


def test_an_unknown_gateway_is_named(home, claude):
    result = home.run("wrapper", "vercle")
    assert result.returncode == 2
    assert "vercel" in result.stderr


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a\nb"])
def test_a_name_that_is_no_file_name_is_a_usage_fault(home, claude, name):
    assert home.run("wrapper", "vercel", "--name", name).returncode == 2


@pytest.fixture
def node(home):
    """Folders of two Node versions, the first of which holds claude."""
    old, new = home.user / "node18", home.user / "node22"
    for folder in (old, new):
        folder.mkdir()
    home.agent("claude").rename(old / "claude")
    home.environ["PATH"] = f"{old}{os.pathsep}{new}{os.pathsep}{home.environ['PATH']}"
    return old, new


def test_an_agent_that_has_moved_is_found_on_path_and_the_wrapper_says_so(home, node, target, daemon):
    known = {"beside": False, "agent_env": {}, "remove": [], "key": True}
    daemon(gateways={"vercel": known, "gw": known})
    assert home.run("wrapper", "vercel").returncode == 0
    old, new = node
    (old / "claude").rename(new / "claude")
    result = subprocess.run([target, "-p"], env=home.environ, cwd=home.folder, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)[0] == [str(new / "claude"), "-p"]
    assert f"sidecar: {old / 'claude'} is gone" in result.stderr
    assert "sidecar wrapper vercel" in result.stderr


def test_a_wrapper_of_its_agents_name_does_not_start_itself(home, node, daemon):
    """With nothing else of that name on PATH it would, again and again."""
    daemon()
    early = home.user / "early"
    assert home.run("wrapper", "vercel", "--name", "claude", "--dir", str(early)).returncode == 0
    home.environ["PATH"] = f"{early}{os.pathsep}{home.environ['PATH']}"
    (node[0] / "claude").unlink()
    for command in ([early / "claude"], [sys.executable, "-m", "sidecar", "run", "claude"]):
        result = subprocess.run(command, env=home.environ, cwd=home.folder, capture_output=True, text=True, check=False, timeout=20)
        assert result.returncode == 127
        assert f"{early / 'claude'} is a wrapper" in result.stderr
        assert "sidecar wrapper" in result.stderr


def test_a_wrapper_of_an_earlier_version_whose_agent_has_moved_says_how_to_renew_it(home, daemon):
    result = home.run("run", "--", str(home.user / "node18" / "claude"))
    assert result.returncode == 127
    assert "sidecar wrapper GATEWAY" in result.stderr


def test_an_agents_path_cannot_become_a_line_of_the_script(home, daemon, tmp_path):
    daemon(gateway="vercel", gateways={"vercel": {"beside": False, "agent_env": {}, "remove": [], "key": True}})
    odd = tmp_path / "a\ntouch broken\n"
    odd.mkdir()
    agent = shutil.copy(home.agent("claude"), odd / "claude")
    assert home.run("wrapper", "vercel", "--agent", str(agent), "--name", "x", "--dir", str(odd)).returncode == 0
    ran = subprocess.run([odd / "x"], env=home.environ, cwd=home.folder, capture_output=True, check=False)
    assert json.loads(ran.stdout)[0] == [str(agent)]
    assert not (home.folder / "broken").exists()
