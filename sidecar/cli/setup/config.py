"""`config path`, `check`, `show`, `init` and `edit`: where the configuration is, whether it is right, what is in force, and changing it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sidecar import config
from sidecar.config.load import load, parsed, read
from sidecar.config.save import save
from sidecar.config.scalars import duration_text, limit_text, share_text, size_text
from sidecar.config.schema import RatesForm
from sidecar.config.settings import DEFAULT_PORT
from sidecar.errors import ConfigError, SidecarError, UsageError
from sidecar.gateways.gateway import Command, KeyFile, Keyring, Secret, SecretFile, Variable
from sidecar.launch.places import write_private
from sidecar.launch.surroundings import note

if TYPE_CHECKING:
    from argparse import Namespace

    from sidecar.budgets.budget import Budget
    from sidecar.config.settings import Settings
    from sidecar.gateways.gateway import Gateway, Source


def path(args: Namespace) -> int:
    print(args.places.config_file)
    return 0


def check(args: Namespace) -> int:
    """Every fault is a line of its own on stdout; what to do about them goes to stderr."""
    try:
        settings = load(args.places)
    except ConfigError as error:
        print("\n".join(error.faults))
        if error.hint:
            note(f"  {error.hint}")
        return error.exit_code
    if settings.path:
        print(f"{settings.path}: no fault; the active gateway is {settings.gateway}")
    else:
        print(f"there is no {args.places.config_file}: the defaults hold")
    return 0


def show(args: Namespace) -> int:
    settings = load(args.places)
    shown = in_force(settings)
    if args.json:
        print(json.dumps({"path": settings.path, **shown}, ensure_ascii=False))
    else:
        print(f"# {settings.path or 'no configuration file: all of this is default'}")
        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120), end="")
    return 0


def init(args: Namespace) -> int:
    target = args.places.config_file
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already", "sidecar config edit opens it")
    save(target, _example())
    print(f"Wrote {target}: every key with its meaning, all at their defaults.")
    print("Next: sidecar config edit")
    return 0


def edit(args: Namespace) -> int:
    """The editor gets a draft.  The file changes once the draft has no fault, and in one step."""
    target = args.places.config_file
    before = _text(target)
    start = _example() if before is None else before
    folder = tempfile.mkdtemp(prefix="sidecar-")
    draft = os.path.join(folder, os.path.basename(target))
    write_private(draft, start.encode())
    try:
        text = _edited(_editor(), draft, target)
        if _text(target) != before:
            raise SidecarError(f"{target} has been changed by somebody else meanwhile, and was left so")
        if text != before:
            save(target, text)
    except BaseException:
        if os.path.exists(draft) and Path(draft).read_bytes() != start.encode():
            note(f"your version is in {draft}")
        else:
            shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
    print(f"{target}: " + ("nothing has changed." if text == before else "no fault; it holds from the next request on."))
    return 0


def _edited(editor: list[str], draft: str, target: str) -> str:
    """The draft's text, without fault.  Asks whether to go on while it has some.  Raises `SidecarError`."""
    while True:
        try:
            code = subprocess.call([*editor, draft])  # noqa: S603 - the user's own editor
        except OSError as error:
            raise UsageError(f"{editor[0]} could not be started: {error.strerror}", "set EDITOR to the command of your editor") from None
        if code:
            raise SidecarError(f"{editor[0]} ended with {code}; {target} is as it was")
        os.chmod(draft, 0o600)  # some editors write a new file
        try:
            text = read(draft)
            parsed(text, target)
        except ConfigError as error:
            note("\n".join(error.faults))
            if not _once_more():
                raise ConfigError((f"{target} is as it was, because of {_counted(len(error.faults))}",)) from None
        else:
            return text


def _counted(faults: int) -> str:
    return "one fault" if faults == 1 else f"{faults} faults"


def _once_more() -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write("Edit it again? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def _editor() -> list[str]:
    for variable in ("VISUAL", "EDITOR"):
        if os.environ.get(variable, "").strip():
            try:
                return shlex.split(os.environ[variable])
            except ValueError as error:
                raise UsageError(f"{variable} cannot be read: {error}", f"it is {os.environ[variable]!r}") from None
    for command in ("notepad",) if sys.platform == "win32" else ("sensible-editor", "nano", "vi"):
        if found := shutil.which(command):
            return [found]
    raise UsageError("there is no editor", "set EDITOR to the command of yours; or open the file yourself: sidecar config path")


def _text(target: str) -> str | None:
    try:
        return read(target)
    except FileNotFoundError:
        return None


def _example() -> str:
    return Path(config.__file__).with_name("example.yaml").read_text(encoding="utf-8")


def in_force(settings: Settings) -> dict[str, object]:
    """In the words of the file, defaults and presets filled in.  Of a credential only where it comes from."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return {
        "listen": f"{host}:{settings.port or DEFAULT_PORT}",
        "allow_remote": settings.allow_remote,
        "hosts": list(settings.hosts),
        "gateway": settings.gateway,
        "tags": list(settings.tags),
        "gateways": {name: _gateway(gateway) for name, gateway in settings.gateways.items()},
        "prices": _prices(settings),
        "budgets": [_budget(budget) for budget in settings.budgets],
        "timeouts": {name: duration_text(seconds) for name, seconds in asdict(settings.timeouts).items()},
        "limits": {"body": size_text(settings.body_limit)},
        "ledger": {"keep": duration_text(settings.ledger_keep_seconds)},
        "log": {"level": settings.log_level},
    }


def _prices(settings: Settings) -> dict[str, object]:
    discounts = {name: gateway.terms.discount for name, gateway in settings.gateways.items() if gateway.terms.discount}
    return {
        "models": {own.pattern: {name: float(getattr(own.rates, name)) for name in RatesForm._fields} for own in settings.prices},
        "gateways": {name: {"discount": share_text(discount)} for name, discount in discounts.items()},
    }


def _budget(budget: Budget) -> dict[str, object]:
    covered = {name: value for name, value in (("gateway", budget.gateway), ("tag", budget.tag)) if value is not None}
    return {"per": budget.per.value, "limit": limit_text(budget.limit), **covered}


def _gateway(gateway: Gateway) -> dict[str, object]:
    return {
        "preset": gateway.preset,
        "base_url": gateway.base_url,
        "auth": asdict(gateway.auth),
        "beside": gateway.beside,
        "credential": _sources(gateway.credential),
        "tags": list(gateway.tags),
        "headers": {name: {"credential": _sources(value)} if isinstance(value, Secret) else value for name, value in gateway.headers},
        "paths": dict(gateway.paths or {}),
        "models": {rule.pattern: rule.model for rule in gateway.model_rules},
        "model_form": gateway.model_form,
        "only": list(gateway.only),
        "agent_env": dict(gateway.agent_env or {}),
        "proxy": gateway.proxy,
        "ca_file": gateway.ca_file,
    }


def _sources(secret: Secret) -> list[dict[str, object]]:
    return [_source(source) for source in secret.sources]


def _source(source: Source) -> dict[str, object]:
    match source:
        case Keyring(name):
            return {"keyring": name}
        case KeyFile(name):
            return {"file": os.path.join("keys", name)}
        case Variable(name):
            return {"env": name}
        case SecretFile(file, key):
            return {"file": file, "key": key} if key else {"file": file}
        case Command(argv, ttl):
            # Its arguments are the user's; one of them might be a password.
            return {"command": argv[0], "ttl": duration_text(ttl)}
