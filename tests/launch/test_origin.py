from __future__ import annotations

import os
import sys

import pytest

from sidecar.launch.origin import where_started

ORIGIN = '[core]\n\tbare = false\n[remote "upstream"]\n\turl = https://other.example/x\n[remote "origin"]\n\turl = {}\n\tfetch = +refs/*\n[branch "main"]\n\turl = no\n'


@pytest.fixture
def checkout(tmp_path):
    def make(url="https://github.com/acme/shop.git", head="ref: refs/heads/main\n"):
        git = tmp_path / "shop" / ".git"
        git.mkdir(parents=True)
        (git / "config").write_text(ORIGIN.format(url))
        (git / "HEAD").write_text(head)
        return tmp_path / "shop"

    return make


def test_a_checkout_is_seen_from_any_folder_in_it(checkout):
    folder = checkout() / "src" / "deep"
    folder.mkdir(parents=True)
    assert where_started(str(folder)) == ("shop", "github.com/acme/shop", "main")


def test_outside_a_checkout_the_working_folder_is_the_project(tmp_path):
    (tmp_path / "notes").mkdir()
    assert where_started(str(tmp_path / "notes")) == ("notes", None, None)


@pytest.mark.parametrize(
    ("url", "repo"),
    [
        ("https://github.com/acme/shop.git", "github.com/acme/shop"),
        ("https://GitHub.com/acme/shop/", "github.com/acme/shop"),
        ("https://alice:secret@github.com/acme/shop.git", "github.com/acme/shop"),
        ("https://secret@host.example:8443/acme/shop?token=secret#secret", "host.example/acme/shop"),
        ("https://alice:sec@ret@host.example/acme/shop", "host.example/acme/shop"),
        ("https://alice:sec/ret@host.example/acme/shop", None),
        ("ssh://git@host.example:22/acme/shop.git", "host.example/acme/shop"),
        ("ssh://git@[::1]:22/acme/shop.git", "[::1]/acme/shop"),
        ("git@github.com:acme/shop.git", "github.com/acme/shop"),
        ("alice:secret@host.example:acme/shop.git", "host.example/acme/shop"),
        ("host.example:shop.git", "host.example/shop"),
        ('"git@github.com:acme/shop.git"', "github.com/acme/shop"),
        ("/srv/git/shop.git", None),
        ("../shop.git", None),
        ("file:///srv/git/shop.git", None),
        ("C:/git/shop.git", None),
        ("ext::sh -c secret", None),
        ("", None),
    ],
)
def test_the_repository_is_host_and_path_without_a_user_part(checkout, url, repo):
    found = where_started(str(checkout(url)))[1]
    assert found == repo
    assert "secret" not in (found or "")


@pytest.mark.parametrize(
    ("head", "branch"),
    [
        ("ref: refs/heads/main\n", "main"),
        ("ref: refs/heads/feature/zwölf\n", "feature/zwölf"),
        ("0123456789abcdef0123456789abcdef01234567\n", None),
        ("ref: refs/heads/.invalid\n", None),
        ("ref: refs/remotes/origin/main\n", None),
        ("", None),
    ],
)
def test_the_branch_is_none_when_detached(checkout, head, branch):
    assert where_started(str(checkout(head=head)))[2] == branch


def test_a_linked_work_tree_has_its_own_branch_and_the_main_ones_origin(checkout, tmp_path):
    main = checkout()
    own = main / ".git" / "worktrees" / "fix"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/fix\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "shop-fix").mkdir()
    (tmp_path / "shop-fix" / ".git").write_text(f"gitdir: {own}\n")
    assert where_started(str(tmp_path / "shop-fix")) == ("shop-fix", "github.com/acme/shop", "fix")


def test_a_submodule_points_to_its_git_folder_by_a_relative_path(checkout):
    main = checkout()
    own = main / ".git" / "modules" / "lib"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/lib\n")
    (own / "config").write_text(ORIGIN.format("git@host.example:acme/lib"))
    (main / "lib").mkdir()
    (main / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n")
    assert where_started(str(main / "lib")) == ("lib", "host.example/acme/lib", "lib")


def test_files_that_are_not_text_are_no_reason_to_fail(checkout):
    folder = checkout()
    (folder / ".git" / "config").write_bytes(b'[remote "origin"]\nurl = https://h.example/\xff\xfe\n')
    (folder / ".git" / "HEAD").write_bytes(b"\xff\x00")
    project, repo, branch = where_started(str(folder))
    assert (project, branch) == ("shop", None)
    assert repo is None or repo.isprintable()


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders there")
@pytest.mark.parametrize("name", ["HEAD", "config", "commondir"])
def test_a_pipe_in_a_checkout_holds_nobody_up(tmp_path, name):
    git = tmp_path / "shop" / ".git"
    git.mkdir(parents=True)
    os.mkfifo(git / name)
    assert where_started(str(tmp_path / "shop")) == ("shop", None, None)
