"""The log as it stands in the file and on the terminal."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import sys

import pytest
import structlog
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.ledger.row import Row
from sidecar.observe import logs

SECRET = "vck_0123456789abcdef"

log = structlog.get_logger()


@pytest.fixture
def folder(tmp_path):
    before = os.umask(0)
    yield str(tmp_path / "logs")
    logs.close()
    os.umask(before)


@pytest.fixture
def begun(folder):
    logs.configure("info", folder, lambda: frozenset({SECRET}), False)
    return folder


def lines(folder):
    """Closes the log, which writes what is waiting."""
    logs.close()
    with open(os.path.join(folder, logs.FILE_NAME), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_an_event_is_one_json_line_with_time_level_event_first(begun):
    log.info("exchange.done", gateway="vercel", status=200, tags=("a", "b"), model=None)
    (line,) = lines(begun)
    assert list(line) == ["time", "level", "event", "gateway", "status", "tags", "model"]
    assert (line["level"], line["event"], line["tags"], line["model"]) == ("info", "exchange.done", ["a", "b"], None)
    assert line["time"].endswith("Z")


def test_an_exchange_is_told_as_far_as_it_is_known(begun):
    logs.log_exchange(row(id="1", status=200, path=f"/{SECRET}"), None)
    logs.log_exchange(row(id="2", tags='["a"]'), "too large")
    logs.log_exchange(row(id="3", tags='["a"]', bytes_in=7), None)
    logs.configure("warning", begun, frozenset, False)
    logs.log_exchange(row(id="4"), None)
    one, two, three = lines(begun)
    assert [list(line)[:4] for line in (one, two, three)] == [["time", "level", "event", "id"]] * 3
    assert (one["level"], one["event"], one["status"], one["path"], one.get("model_served", "")) == (
        "info",
        "exchange.done",
        200,
        "/•••",
        "",
    )
    assert (two["id"], two["tags"], two["metering"]) == ("2", '["a"]', "too large")
    assert three == {name: value for name, value in two.items() if name != "metering"} | {"time": three["time"], "id": "3", "bytes_in": 7}
    logs.log_exchange(row(id="5"), None)


def row(**differs) -> Row:
    values = dict.fromkeys(("id", "instance", "started_at", "kind", "session", "gateway", "tags", "method", "path", "billing"), "x")
    return Row(**values | differs)


def test_events_below_the_level_are_not_written_and_the_level_can_be_changed(begun):
    log.debug("one")
    logs.configure("debug", begun, frozenset, False)
    log.debug("two")
    logs.configure("error", begun, frozenset, False)
    log.warning("three")
    assert [line["event"] for line in lines(begun)] == ["two"]


def test_what_comes_after_close_is_dropped(begun, capsys):
    log.info("before")
    logs.close()
    log.info("after")
    assert [line["event"] for line in lines(begun)] == ["before"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_the_files_are_private_and_bounded_also_after_rotation(folder):
    logs.configure("info", folder, frozenset, False)
    per_event = 4000
    for number in range((logs.OLD_FILES + 2) * logs.FILE_LIMIT_BYTES // per_event):
        log.info("fill", number=number, text="x" * per_event)
    logs.close()
    names = sorted(os.listdir(folder))
    assert names == ["sidecar.log", *(f"sidecar.log.{number + 1}" for number in range(logs.OLD_FILES))]
    for name in names:
        info = os.stat(os.path.join(folder, name))
        assert stat.S_IMODE(info.st_mode) == 0o600
        assert info.st_size <= logs.FILE_LIMIT_BYTES
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_a_secret_is_neither_in_a_field_nor_in_a_traceback(begun):
    def use(key):
        raise ValueError(f"{key} is not good")

    try:
        use(SECRET)
    except ValueError as error:
        log.exception("failed", why=str(error))
        log.critical("again", exc_info=error)
    for line in lines(begun):
        assert SECRET not in json.dumps(line)
        assert line["exception"].endswith("ValueError: ••• is not good")
        assert "in use" in line["exception"]


def test_a_secret_that_came_into_use_later_is_taken_out_too(folder):
    in_use = set()
    logs.configure("info", folder, lambda: frozenset(in_use), False)
    in_use.add("another-secret")
    log.info("x", text="with another-secret in it")
    assert lines(folder)[0]["text"] == "with ••• in it"


def test_the_libraries_loggers_go_through_the_same_door(begun):
    logging.getLogger("aiohttp.client").error("could not send %s\nto them", {"authorization": "x", "body": SECRET})
    logging.getLogger("keyring").warning("%s", SECRET)
    logging.getLogger("asyncio").log(35, "a level of its own")
    logging.getLogger("asyncio").info("not of interest")
    written = lines(begun)
    assert SECRET not in json.dumps(written)
    assert [(line["logger"], line["level"]) for line in written] == [
        ("aiohttp.client", "error"),
        ("keyring", "warning"),
        ("asyncio", "warning"),
    ]


def test_a_librarys_message_that_does_not_fit_its_arguments_is_written_without_them(begun):
    # Given to our own handler only: pytest's raises.
    (handler,) = (handler for handler in logging.getLogger().handlers if isinstance(handler, logs._Libraries))
    handler.handle(logging.makeLogRecord({"msg": "%d of it", "args": ("one",), "levelno": logging.ERROR, "name": "x"}))
    assert lines(begun)[0]["event"] == "%d of it"


def test_debugging_hears_the_libraries_out(folder):
    logs.configure("debug", folder, frozenset, False)
    logging.getLogger("some.library").debug("detail")
    assert [line["event"] for line in lines(folder)] == ["detail"]


async def test_a_malformed_request_is_one_short_event_without_what_was_sent(begun):
    async def never(_request):
        raise AssertionError

    runner = web.ServerRunner(web.Server(never))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nx-private : something private\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    await runner.cleanup()
    (line,) = lines(begun)
    assert (line["event"], line["logger"]) == ("request.malformed", "aiohttp.server")
    assert "exception" not in line
    assert "private" not in json.dumps(line)


def test_a_value_that_cannot_be_written_down_hurts_nobody(begun):
    class Broken:
        def __str__(self):
            raise RuntimeError

    log.info("x", field=Broken())
    assert lines(begun)[0]["event"] == "log.failed"


def test_on_a_terminal_nothing_inside_an_event_begins_a_line(capsys):
    logs.configure("info", None, frozenset, True)
    log.info("exchange.done", session="a\n12:00:00 info     forged\x1b[2J", model="claude", tags=["x y"])
    try:
        raise ValueError("one\n12:00:00 info     forged")
    except ValueError:
        log.exception("failed")
    logs.close()
    first, second, *rest = capsys.readouterr().err.splitlines()
    assert first[8:] == ' info     exchange.done  session="a 12:00:00 info     forged"  model=claude  tags=["x y"]'
    assert second[8:] == " error    failed"
    assert rest
    assert all(line.startswith("    ") for line in rest)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5), max_size=3))
def test_whatever_is_logged_every_line_is_one_json_object(begun, fields):
    logs.configure("info", begun, lambda: frozenset({SECRET}), False)
    fields = {name: value for name, value in fields.items() if name not in ("event", "self")}
    log.info("x", **fields)
    assert all(line["event"] for line in lines(begun))
