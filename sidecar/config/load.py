"""The configuration file -> `Settings`, or a `ConfigError` that names every fault with line and column.

`load` is what reads the disk; `parsed` takes a text and reads nothing but whether a CA file is there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.budgets.budget import Budget, Per
from sidecar.config import document, merge, scalars
from sidecar.config.check import Contents, check
from sidecar.config.settings import Settings, Timeouts
from sidecar.errors import ConfigError
from sidecar.gateways.gateway import Gateway, Secret, Variable
from sidecar.launch.files import NotRegular, read_with_info

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sidecar.config.document import Document, Fault
    from sidecar.launch.places import Places

# What the way out to a gateway depends on, besides keys.  Proxy variables come in both cases.
_CONNECTION_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
)

LARGEST_FILE = 1 << 20
#: No more faults than this are told, and no more characters of each: they stand in the daemon's log and in its answers, too.
MOST_FAULTS = 100
LONGEST_FAULT = 1000


def load(places: Places) -> Settings:
    """Without a file the defaults hold, unless the user named one."""
    path = places.config_file
    try:
        text = read(path)
    except FileNotFoundError:
        if places.config_given:
            raise ConfigError((f"{Path(path).name}: there is no such file",), f"looked for {path}") from None
        misnamed = Path(path).with_suffix(".yml")
        if misnamed.exists():
            raise ConfigError((f"{misnamed.name}: this file is not read, only {Path(path).name} is",), f"mv {misnamed} {path}") from None
        return _settings(Contents(), None, places.config_dir)
    return parsed(text, path)


def read(path: str) -> str:
    """The file's text.  Raises FileNotFoundError, and ConfigError where it cannot be trusted or is not text."""
    name = Path(path).name
    try:
        content, info = read_with_info(path, LARGEST_FILE + 1)
    except FileNotFoundError:
        raise
    except NotRegular:
        raise ConfigError((f"{name}: is not a file",), f"looked at {path}") from None
    except OSError as error:
        raise ConfigError((f"{name}: cannot be read: {error.strerror}",), f"looked at {path}") from None
    _refuse_unsafe(info, path)
    if len(content) > LARGEST_FILE:
        raise ConfigError((f"{name}: is larger than {LARGEST_FILE >> 10} KiB: no configuration is",), f"looked at {path}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode("utf-8")) + 1
        raise ConfigError((f"{name}:{line}:{column}: not UTF-8 text",), f"mend {path}") from None


def _refuse_unsafe(info: os.stat_result, path: str) -> None:
    """Who can write the file can send the keys anywhere."""
    name = Path(path).name
    if not hasattr(os, "geteuid"):  # Windows: a user's local application data is private by its access list
        return
    if info.st_uid != os.geteuid():
        raise ConfigError((f"{name}: is owned by someone else (user {info.st_uid})",), f"sudo chown $(id -un) {path}")
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError((f"{name}: others can write to it",), f"chmod go-w {path}")


def parsed(text: str, path: str) -> Settings:
    found = document.read(text)
    contents, faults = check(found)
    folder = str(Path(path).absolute().parent)
    faults = sorted([*faults, *_missing_files(found, contents, folder)], key=lambda fault: fault.place)
    if faults:
        name = Path(path).name
        lines = [_line(name, fault) for fault in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            lines.append(f"{name}: and {len(faults) - MOST_FAULTS} more faults")
        raise ConfigError(tuple(lines), f"mend {path}")
    return _settings(contents, path, folder)


def _line(name: str, fault: Fault) -> str:
    line, column = fault.place
    steps = ".".join(str(step) for step in fault.path)
    what = scalars.without_keys(f"{steps}: {fault.what}" if steps else fault.what)
    return f"{name}:{line}:{column}: {what if len(what) <= LONGEST_FAULT else what[:LONGEST_FAULT] + '…'}"


def _missing_files(found: Document, contents: Contents, folder: str) -> Iterator[Fault]:
    named: dict[document.Path, str | None] = {("ca_file",): contents.file.ca_file}
    named |= {("gateways", name, "ca_file"): form.ca_file for name, form in contents.gateways.items()}
    for steps, file in named.items():
        if file and not Path(merge.expanded(file, folder)).is_file():
            yield document.Fault(found.place(steps), steps, "there is no such file")


def _settings(contents: Contents, path: str | None, folder: str) -> Settings:
    file = contents.file
    gateways = merge.gateways(contents, folder)
    host, port = file.listen or ("127.0.0.1", None)
    return Settings(
        gateways=gateways,
        gateway=file.gateway,
        configured=tuple(contents.gateways),
        path=path,
        host=host,
        port=port,
        allow_remote=file.allow_remote,
        hosts=file.hosts,
        tags=file.tags,
        prices=merge.model_rates(file.prices),
        budgets=tuple(Budget(Per(form.per), form.limit, form.gateway, form.tag) for form in file.budgets),
        timeouts=Timeouts(**file.timeouts._asdict()),
        body_limit=file.limits.body,
        ledger_keep_seconds=file.ledger.keep,
        log_level=file.log.level,
        variables=tuple(sorted({*_CONNECTION_VARIABLES, *_key_variables(gateways.values())})),
    )


def _key_variables(gateways: Iterable[Gateway]) -> Iterator[str]:
    for gateway in gateways:
        for secret in (gateway.credential, *(value for _, value in gateway.headers if isinstance(value, Secret))):
            yield from (source.name for source in secret.sources if isinstance(source, Variable))
