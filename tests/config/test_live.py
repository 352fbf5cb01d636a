"""A good change applies to the very next request; a bad one changes nothing and is named."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from sidecar.config.live import LiveSettings
from sidecar.config.load import load
from sidecar.launch.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(str(tmp_path), str(tmp_path))


def write(places: Places, text: str, mode: int = 0o600) -> None:
    path = Path(places.config_file)
    path.write_text(text)
    path.chmod(mode)


def started(places: Places) -> LiveSettings:
    return LiveSettings(places, load(places))


async def test_a_change_is_in_force_at_the_next_look(places):
    write(places, "gateway: vercel\n")
    live = started(places)
    assert (await live.refresh()).gateway == "vercel"
    write(places, "gateway: openrouter\n")
    assert (await live.refresh()).gateway == "openrouter"


async def test_two_changes_of_one_size_within_a_tick_of_the_clock_are_both_seen(places):
    write(places, "gateway: edgee\n")
    live = started(places)
    for name in ("vercel", "edgee!", "vercel", "edgee!") * 5:
        write(places, f"gateway: {name.rstrip('!')}{' ' * name.count('!')}\n")
        assert (await live.refresh()).gateway == name.rstrip("!")


async def test_a_bad_change_keeps_the_last_good_settings_and_says_where_it_is_bad(places):
    write(places, "gateway: vercel\n")
    live = started(places)
    write(places, "tags: [laptop]\ngateway: nope\n")
    assert (await live.refresh()).gateway == "vercel"
    assert live.error is not None
    assert live.error.startswith("config.yaml:2:10: gateway: ")
    write(places, "gateway: edgee\n")
    assert (await live.refresh()).gateway == "edgee"
    assert live.error is None


async def test_a_vanished_file_keeps_the_last_good_settings(places):
    write(places, "gateway: vercel\n")
    live = started(places)
    os.unlink(places.config_file)
    assert (await live.refresh()).gateway == "vercel"
    assert live.error == "config.yaml: the file is gone"
    write(places, "gateway: edgee\n")
    assert (await live.refresh()).gateway == "edgee"


async def test_a_file_that_others_may_write_is_not_taken(places):
    write(places, "gateway: vercel\n")
    live = started(places)
    await live.refresh()
    write(places, "gateway: edgee\n", mode=0o666)
    assert (await live.refresh()).gateway == "vercel"
    assert live.error is not None
    write(places, "gateway: edgee\n", mode=0o644)
    assert (await live.refresh()).gateway == "edgee"


async def test_a_file_that_appears_is_taken(places):
    live = started(places)
    assert (await live.refresh()).gateway == "anthropic"
    assert live.error is None
    write(places, "gateway: vercel\n")
    assert (await live.refresh()).gateway == "vercel"


async def test_the_target_of_a_link_is_what_is_looked_at(places, tmp_path):
    target = tmp_path / "elsewhere.yaml"
    os.symlink(target, places.config_file)
    target.write_text("gateway: vercel\n")
    target.chmod(0o644)
    live = started(places)
    await live.refresh()
    target.write_text("gateway: openrouter\n")
    assert (await live.refresh()).gateway == "openrouter"


async def test_an_unchanged_file_is_not_read(places):
    write(places, "gateway: vercel\n")
    past = time.time() - 3600
    os.utime(places.config_file, (past, past))
    live = started(places)
    while True:  # until the file's change time is no longer fresh
        first = await live.refresh()
        second = await live.refresh()
        if first is second:
            break
    assert await live.refresh() is first


async def test_concurrent_callers_share_one_reading_and_one_change(places):
    write(places, "gateway: vercel\n")
    live = started(places)
    await live.refresh()
    changes: list[str] = []
    live.on_change.append(lambda: changes.append(live.current.gateway))
    write(places, "gateway: edgee\n")
    settings = await asyncio.gather(*(live.refresh() for _ in range(50)))
    assert {each.gateway for each in settings} == {"edgee"}
    assert changes == ["edgee"]


async def test_callbacks_hear_of_an_error_and_of_its_end(places):
    write(places, "gateway: vercel\n")
    live = started(places)
    heard: list[str | None] = []
    live.on_change.append(lambda: heard.append(live.error))
    write(places, "gateway: nope\n")
    await live.refresh()
    await live.refresh()
    write(places, "gateway: vercel\n")
    await live.refresh()
    assert len(heard) == 2
    assert heard[1] is None


async def test_a_file_that_an_editor_has_just_emptied_keeps_the_last_good_one(places):
    file = Path(places.config_file)
    file.write_text("gateway: edgee\ngateways: {edgee: {}}\n")
    live = LiveSettings(places, load(places))
    file.write_text("")
    assert (await live.refresh()).gateway == "edgee"
    assert live.error == "config.yaml: the file is empty"
    file.write_text("gateway: vercel\n")
    assert (await live.refresh()).gateway == "vercel"
    assert live.error is None
