"""Which part may know which: the arrows point down only.  Law that is not tested decays."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sidecar"

#: package -> what it may import of the others, beside `errors` and the version.
MAY_IMPORT = {
    "errors": set(),
    "clock": set(),
    "limits": set(),
    "launch": set(),
    "wire": set(),
    "metering": {"wire"},
    "pricing": {"metering", "launch.files"},
    "budgets": set(),
    "gateways": {"launch.names", "wire", "config.settings", "sessions.session", "pricing.terms"},
    "config": {"budgets", "gateways", "launch.files", "launch.loopback", "launch.names", "launch.places", "pricing.terms", "wire"},
    "sessions": {"wire", "launch.passes"},
    "credentials": {"gateways", "limits", "launch.files", "launch.places"},
    "ledger": {"clock", "budgets", "metering", "pricing", "wire", "launch.places"},
    "observe": {"clock", "launch", "ledger.row"},
    "proxy": {
        "clock",
        "limits",
        "budgets",
        "wire",
        "metering",
        "gateways",
        "config",
        "sessions",
        "credentials",
        "ledger",
        "launch.files",
        "launch.loopback",
        "launch.passes",
        "observe.redact",
    },
    "server": {"limits", "budgets", "proxy", "wire", "gateways", "config", "sessions", "credentials", "ledger", "observe", "launch"},
    "demo": {"launch", "ledger", "cli.reports", "wire", "config"},
    "cli": {
        "budgets",
        "clock",
        "launch",
        "pricing.table",
        "config",
        "gateways",
        "credentials",
        "ledger",
        "server",
        "proxy",
        "demo",
        "observe",
    },
}

#: Third parties, and the one or two places that know them.
ONLY_IN = {
    "aiohttp": ("server/app.py", "server/listener.py", "server/own.py", "server/through_aiohttp.py", "demo"),
    "httptools": ("wire/message.py", "wire/head.py"),
    "keyring": ("credentials/system_keyring.py",),
    "genai_prices": ("pricing/table.py",),
    "sqlite3": ("ledger",),
    "yaml": ("config", "gateways/presets.py", "cli/setup/config.py"),
    "rich": ("cli/reports/tables.py", "cli/reports/screen.py", "demo", "observe/logs.py"),
    "structlog": ("observe", "proxy", "server", "ledger"),
    "uvloop": ("server/lifecycle.py",),
    "brotli": ("wire/coding.py",),
}

PURE = (
    "wire",
    "metering",
    "budgets",
    "gateways/gateway.py",
    "gateways/headers.py",
    "gateways/models.py",
    "gateways/route.py",
    "proxy/echo.py",
    "sessions/session.py",
    "launch/passes.py",
    "ledger/outcome.py",
    "ledger/entry.py",
    "ledger/row.py",
    "clock.py",
    "launch/environment.py",
)
NOT_PURE = {"asyncio", "socket", "os", "logging", "structlog", "time", "subprocess", "threading", "sqlite3", "pathlib"}


def imports():
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    yield from ((inside, alias.name) for alias in names)
                case ast.ImportFrom(module=module, names=names) if module:
                    yield from ((inside, f"{module}.{alias.name}") for alias in names)


IMPORTS = list(imports())


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_knows_only_what_is_below_it(package):
    wrong = []
    for inside, name in IMPORTS:
        own, _, rest = name.partition(".")
        if own != "sidecar" or not rest or inside.split("/")[0].removesuffix(".py") != package or rest == "__version__":
            continue
        target = rest.split(".")[0]
        allowed = MAY_IMPORT[package] | {package, "errors"}
        if target not in allowed and not any(rest == each or rest.startswith(f"{each}.") for each in allowed):
            wrong.append(f"{inside} imports {name}")
    assert wrong == []


def test_every_package_has_its_law():
    packages = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_known_in_its_place_only(library):
    wrong = [
        f"{inside} imports {name}" for inside, name in IMPORTS if name.split(".")[0] == library and not inside.startswith(ONLY_IN[library])
    ]
    assert wrong == []


@pytest.mark.parametrize("place", PURE)
def test_pure_parts_touch_nothing(place):
    wrong = [f"{inside} imports {name}" for inside, name in IMPORTS if inside.startswith(place) and name.split(".")[0] in NOT_PURE]
    assert wrong == []


def test_the_fast_start_is_standard_library_only():
    foreign = [
        f"{inside} imports {name}"
        for inside, name in IMPORTS
        if inside.startswith(("launch/", "errors.py")) and name.split(".")[0] not in {*sys.stdlib_module_names, "sidecar"}
    ]
    assert foreign == []
