"""`sidecar prices`: what has no price; a newer table is stored when it is one, and used from then on."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest
from fakes.raw import raw_gateway, reply, says

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from exchanges import closing, opening, reading

from sidecar.cli.reports import prices
from sidecar.errors import SidecarError
from sidecar.ledger.writer import Ledger
from sidecar.metering.reading import Usage
from sidecar.pricing import table


def seller(name: str, *models: str, dollars: int = 1) -> dict[str, object]:
    entries = [{"id": each, "match": {"equals": each}, "prices": {"input_mtok": dollars, "output_mtok": dollars}} for each in models]
    match = {"or": [{"equals": each} for each in models]}
    return {"id": name, "name": name, "model_match": match, "api_pattern": f"https://{name}\\.example", "models": entries}


TABLE = json.dumps([seller("anthropic", "claude-sonnet-4-5", "house-small"), *(seller(f"s{n}", f"m{n}") for n in range(20))])


@pytest.fixture
def ledger(home):
    home.path.mkdir(mode=0o700)
    ledger = Ledger(home.places.ledger, "one", print)
    ledger.start()
    for number, model in enumerate(("house-small", "house-small", "claude-sonnet-4-5", "other-model"), 1):
        ledger.open(opening(number, started_at=time.time() - 9))
        ledger.close(closing(number, finished_at=time.time(), reading=reading(usage=Usage(1000 * number, 10), model=model)))
    ledger.stop()


@pytest.fixture
def own_table():
    yield
    table.follow("/nowhere")
    table.refresh()


def test_what_has_no_price_is_listed_with_its_tokens(home, ledger):
    shown = json.loads(home.run("prices", "--json").stdout)
    assert [(row["model"], row["requests"], row["tokens"]) for row in shown["unpriced"]] == [
        ("other-model", 1, 4010),
        ("house-small", 2, 3020),
    ]
    assert "as installed" in shown["table"]
    told = home.run("prices")
    assert told.returncode == 0
    assert "2 without a price" in told.stdout
    assert "sidecar prices update" in told.stdout


def test_without_anything_unpriced_it_says_so(home):
    assert "Every model that was used has a price." in home.run("prices").stdout


def test_a_newer_table_is_stored_for_this_user_and_prices_from_then_on(home, ledger):
    (home.folder / "data.json").write_text(TABLE)
    told = home.run("prices", "update", "--file", "data.json")
    assert told.returncode == 0, told.stderr
    assert stat.S_IMODE(os.stat(home.places.prices).st_mode) == 0o600
    assert home.run("usage", "--reprice", "--since", "1h").returncode == 0
    shown = json.loads(home.run("prices", "--json").stdout)
    assert [row["model"] for row in shown["unpriced"]] == ["other-model"]
    assert home.places.prices in shown["table"]
    os.unlink(home.places.prices)
    home.run("usage", "--reprice", "--since", "1h")
    assert len(json.loads(home.run("prices", "--json").stdout)["unpriced"]) == 2


@pytest.mark.parametrize(
    "text", ["", "<html>", "{}", "[]", json.dumps([{}] * 30), json.dumps([seller(f"s{n}", "m") for n in range(30)]), "[" * 100_000]
)
def test_what_is_no_table_is_refused_and_the_one_in_use_stays(home, text):
    home.path.mkdir(mode=0o700)
    (home.folder / "data.json").write_text(text)
    told = home.run("prices", "update", "--file", "data.json")
    assert told.returncode == 1
    assert "data.json is no price table" in told.stderr
    assert "the table in use stays" in told.stderr
    assert not os.path.exists(home.places.prices)


def test_a_file_that_is_not_there_is_named(home):
    assert "data.json cannot be read" in home.run("prices", "update", "--file", "data.json").stderr


async def fetch(home, monkeypatch, url):
    home.path.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setattr(prices, "HOST", url)
    from sidecar.config.load import load  # noqa: PLC0415 - the fixture has made the home by now

    return await prices._fetched(load(home.places))


async def test_it_is_fetched_whole_and_with_no_key(home, monkeypatch):
    async with raw_gateway(says(reply(TABLE.encode(), framing="chunked"))) as there:
        assert await fetch(home, monkeypatch, there.url) == TABLE.encode()
        (request,) = there.requests
        assert request.target == prices.TARGET.encode()
        assert not {name.lower() for name, _ in request.fields} & {b"authorization", b"x-api-key"}


async def test_another_answer_is_an_error_with_a_way_out(home, monkeypatch):
    async with raw_gateway(says(reply(b"no", status=b"404 Not Found"))) as there:
        with pytest.raises(SidecarError, match="answered 404 instead of the price table") as caught:
            await fetch(home, monkeypatch, there.url)
        assert "--file FILE" in caught.value.hint


async def test_a_table_that_is_cut_or_endless_is_an_error(home, monkeypatch):
    monkeypatch.setattr(prices, "_LARGEST", 100)
    async with raw_gateway(says(reply(b"[" * 200))) as there:
        with pytest.raises(SidecarError, match="broke off"):
            await fetch(home, monkeypatch, there.url)
    async with raw_gateway(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", then="fin")) as there:
        with pytest.raises(SidecarError, match="broke off"):
            await fetch(home, monkeypatch, there.url)


def test_a_running_table_follows_the_file(tmp_path, own_table, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(table.time, "monotonic", lambda: now[0])
    file = tmp_path / "prices.json"
    table.follow(str(file))
    assert not table.refresh()
    for text, is_new in ((TABLE, True), (TABLE + " ", True), ("broken", False)):
        file.write_text(text)
        now[0] += 2
        assert table.refresh() is is_new
    assert table.table_name().startswith("genai-prices of ")
    file.unlink()
    now[0] += 2
    assert table.refresh()
    assert table.table_name() == table.NAME


def test_update_needs_no_daemon_and_no_configuration_with_a_file(home):
    home.path.mkdir(mode=0o700)
    (home.path / "config.yaml").write_text("gateway: [\n")
    (home.folder / "data.json").write_text(TABLE)
    assert prices.update(Namespace(file=str(home.folder / "data.json"), places=home.places)) == 0
