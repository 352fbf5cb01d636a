"""A model map that could not be applied is logged once for each session."""

from __future__ import annotations

import gzip

import pytest
from fakes.raw import raw_gateway, reply, says
from fakes.running import ask, one_gateway, running
from structlog.testing import capture_logs

MESSAGE = b'{"type":"message","content":[]}'
MAP = "    models: {cheap: house-small}\n"
BODY = b'{"model":"cheap"}'


def told(logs):
    return [entry["why"] for entry in logs if entry["event"] == "model.unmapped"]


@pytest.mark.parametrize(
    ("body", "fields", "why"),
    [
        (gzip.compress(BODY), (b"Content-Encoding: gzip",), "the body is compressed"),
        (b'{"model":"cheap","model":"cheap"}', (), "the body is not one valid JSON object with one model"),
    ],
    ids=["compressed", "two models"],
)
async def test_it_is_said_once_for_each_session(tmp_path, body, fields, why):
    async with raw_gateway(says(reply(MESSAGE))) as there, running(tmp_path, one_gateway(there.url, MAP)) as sidecar:
        with capture_logs() as logs:
            for session in (b"s1", b"s1", b"s2"):
                assert (await ask(sidecar, b"x-claude-code-session-id: " + session, *fields, body=body)).status == 200
        assert told(logs) == [why, why]
        assert all(request.body == body for request in there.requests)


@pytest.mark.parametrize("body", [BODY, b'{"model":"other"}', b"{}"])
async def test_a_map_that_applies_or_has_nothing_to_do_is_not_spoken_of(tmp_path, body):
    async with raw_gateway(says(reply(MESSAGE))) as there, running(tmp_path, one_gateway(there.url, MAP)) as sidecar:
        with capture_logs() as logs:
            assert (await ask(sidecar, body=body)).status == 200
        assert told(logs) == []


async def test_without_a_map_a_compressed_body_is_nothing_special(tmp_path):
    async with raw_gateway(says(reply(MESSAGE))) as there, running(tmp_path, one_gateway(there.url)) as sidecar:
        with capture_logs() as logs:
            assert (await ask(sidecar, b"Content-Encoding: gzip", body=gzip.compress(BODY))).status == 200
        assert told(logs) == []
