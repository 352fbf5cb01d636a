"""Where an agent was started: project, repository and branch, read from the `.git` files.  No process is started.

Standard library only: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

import os

from sidecar.launch.files import read_regular

_ENOUGH = 1 << 20  # a configuration with thousands of branches stays below this


def where_started(cwd: str) -> tuple[str | None, str | None, str | None]:
    """(project, repo, branch).  `project` is the checkout's folder name, else the working folder's; `repo` host and path of the
    remote `origin`, without user part and `.git`; `branch` None when detached.  What cannot be read is None.
    """
    checkout, git = _checkout(cwd)
    project = _name(os.path.basename(checkout or os.path.abspath(cwd)))
    if git is None:
        return project, None, None
    common = _read(os.path.join(git, "commondir")).strip()  # a linked work tree shares the configuration of the main one
    shared = os.path.join(git, common) if common else git
    return project, _repo(_read(os.path.join(shared, "config"))), _branch(_read(os.path.join(git, "HEAD")))


def _checkout(cwd: str) -> tuple[str | None, str | None]:
    """The folder of the checkout and its git directory."""
    folder = os.path.abspath(cwd)
    while True:
        git = os.path.join(folder, ".git")
        if os.path.isdir(git):
            return folder, git
        pointer = _read(git)  # a linked work tree or a submodule: a file that says where
        if pointer.startswith("gitdir:"):
            return folder, os.path.join(folder, pointer.removeprefix("gitdir:").strip())
        above = os.path.dirname(folder)
        if above == folder:
            return None, None
        folder = above


def _branch(head: str) -> str | None:
    ref = head.strip().removeprefix("ref:").strip()
    if not ref.startswith("refs/heads/"):
        return None  # detached: an object's name
    branch = ref.removeprefix("refs/heads/")
    return None if branch == ".invalid" else _name(branch)  # what a reftable repository keeps there for old readers


def _repo(config: str) -> str | None:
    """The last `url` of `[remote "origin"]` as `host/path`."""
    section = url = ""
    for raw in config.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line.partition("]")[0].lstrip("[").strip()
        elif section == 'remote "origin"':
            key, _, value = line.partition("=")
            if key.strip().lower() == "url":
                url = value.strip().strip('"')
    return _host_and_path(url)


def _host_and_path(url: str) -> str | None:
    """None for a folder on this machine, and for anything in which a user part could hide."""
    if "://" in url:
        authority, _, path = url.partition("://")[2].partition("/")
        host = authority.rpartition("@")[2]
        host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    else:  # scp's form: user@host:path
        head, slash, tail = url.partition("/")
        host, colon, first = head.rpartition("@")[2].partition(":")
        path = first + slash + tail
        if not colon or len(host) < 2 or first.startswith(":"):  # a path, a Windows drive, a remote helper
            return None
    path = path.partition("?")[0].partition("#")[0].strip("/").removesuffix(".git").rstrip("/")
    if not host or not path or "@" in path:
        return None
    return _name(f"{host.lower()}/{path}")


def _name(text: str) -> str | None:
    """Text that can go into a header and a database: valid Unicode, no control character; else None."""
    text = text.encode("utf-8", "replace").decode()
    return text if text and text.isprintable() else None


def _read(path: str) -> str:
    try:
        return read_regular(path, _ENOUGH).decode("utf-8", "replace")
    except OSError:
        return ""
