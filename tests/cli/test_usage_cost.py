"""What `sidecar usage` says about money: whose price it is, what a subscription's tokens would cost, what gateways say themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Usage
from sidecar.pricing.table import NAME

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))
from exchanges import closing, opening, reading

VERSION = NAME.partition(" ")[2]
MILLION = Usage(input=1_000_000, output=0)


@pytest.fixture
def home(tmp_path):
    """Three requests of a million tokens each: by the list, through a subscription, of a gateway that names its own price."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    ledger = Ledger(str(home / "ledger.db"), "one", print)
    ledger.start()
    now = time.time()
    haiku = reading(usage=MILLION, model="claude-haiku-4-5")
    for number, differs, cost in ((1, {}, None), (2, {"billing": "subscription"}, None), (3, {"gateway": "openrouter"}, 1.25)):
        ledger.open(opening(number, started_at=now - number, session=f"s{number}", **differs))
        ledger.close(closing(number, finished_at=now, reading=haiku, header_cost_usd=cost))
    ledger.stop()
    return home


def usage(home, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar", "usage", "--since", "1h", *words],
        env={**os.environ, "SIDECAR_HOME": str(home), "PYTHONIOENCODING": "utf-8", "COLUMNS": "140"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_subscriptions_cost_is_marked_and_a_difference_told(home):
    done = usage(home)
    costs = {
        line.split()[0]: line.split()[11] for line in done.stdout.splitlines() if line.split() and line.split()[0] in ("s1", "s2", "s3")
    }
    assert costs == {"s1": "$1.00", "s2": "~$1.00", "s3": "$1.00"}
    assert "~ $1.00 of it went through a subscription: what the tokens cost by the list" in done.stdout
    assert "gateways reported a cost themselves: $1.25, $0.2500 more than computed" in done.stdout
    assert "~$1.00" in usage(home, "--by", "request").stdout


def test_json_has_both_beside_the_cost(home):
    found = json.loads(usage(home, "--json").stdout)
    assert {
        name: found["total"][name] for name in ("cost_usd", "subscription_cost_usd", "reported_cost_usd", "reported_difference_usd")
    } == {
        "cost_usd": 3.0,
        "subscription_cost_usd": 1.0,
        "reported_cost_usd": 1.25,
        "reported_difference_usd": 0.25,
    }


def test_where_there_is_nothing_to_note_nothing_is(home):
    done = usage(home, "--session", "s1", "--by", "model")
    assert "~" not in done.stdout
    assert "themselves" not in done.stdout


def test_reprice_applies_the_configuration_to_what_was_asked_for(home):
    (home / "config.yaml").write_text(
        "prices: {models: {claude-haiku-4-5: {input: 3, output: 4}}, gateways: {openrouter: {discount: 50%}}}\n"
    )
    (home / "config.yaml").chmod(0o600)
    done = usage(home, "--reprice", "--gateway", "openrouter", "--json")
    assert done.stderr == "requests priced anew: 1, changed: 1; $1.00 before, $1.50 now\n"
    assert json.loads(done.stdout)["total"]["cost_usd"] == 1.5
    rows = json.loads(usage(home, "--by", "request", "--json").stdout)["rows"]
    assert [(row["cost_nanousd"], row["price_source"].partition(" ")[2]) for row in rows] == [
        (1_500_000_000, "claude-haiku-4-5, 50% off"),
        (1_000_000_000, f"{VERSION} anthropic/claude-haiku-4-5"),
        (1_000_000_000, f"{VERSION} anthropic/claude-haiku-4-5"),
    ]


def test_reprice_needs_a_sound_configuration(home):
    (home / "config.yaml").write_text("prices: {models: {m: {}}}\n")
    (home / "config.yaml").chmod(0o600)
    done = usage(home, "--reprice")
    assert done.returncode == 3
    assert "config.yaml:1:19: prices.models.m.input: is missing" in done.stderr
    assert usage(home).returncode == 0


def test_a_report_loads_neither_the_price_table_nor_the_configuration():
    code = "import sys; from sidecar.cli.reports import usage; print(any(name in sys.modules for name in ('genai_prices', 'pydantic', 'yaml', 'asyncio')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "False\n"
