"""The Anthropic SDK behind the sidecar: what breaks must look broken to it."""

from __future__ import annotations

import importlib

import anthropic
import pytest
from faults.events import END
from faults.promises import promised
from faults.stage import staged
from faults.table import BROKEN_BODY, WHOLE_BODY, Cell, cells

#: httpx, or whatever successor this SDK is built on: it passes a broken stream's error on as it is.
HTTP = importlib.import_module(anthropic.DefaultAsyncHttpxClient.__base__.__module__)

STREAMS = [cell for cell in cells() if cell.fault in (*BROKEN_BODY, *WHOLE_BODY) and cell.agent == "1.1"]
CUT = [cell for cell in STREAMS if not promised(cell).is_whole and END not in cell.fault.pieces]
COMPLETE = [cell for cell in STREAMS if promised(cell).outcome == "complete" and promised(cell).is_whole]
PROMPT = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


def sdk(sidecar, **options) -> anthropic.AsyncAnthropic:
    # An environment with a proxy or a key of its own is none of the tests' business.
    return anthropic.AsyncAnthropic(
        base_url=f"http://127.0.0.1:{sidecar.port}",
        api_key=sidecar.given,
        http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False),
        **options,
    )


async def streamed(client, delivered) -> anthropic.types.Message:
    async with client.messages.stream(**PROMPT) as stream:
        delivered.set()
        return await stream.get_final_message()


@pytest.mark.parametrize("cell", CUT, ids=str)
async def test_every_cut_is_an_error(cell, tmp_path, ca_file):
    async with staged(cell, tmp_path / "home", ca_file) as (sidecar, _, signals), sdk(sidecar, max_retries=0) as client:
        with pytest.raises((anthropic.APIError, HTTP.TransportError)):
            await streamed(client, signals.delivered)


@pytest.mark.parametrize("cell", COMPLETE, ids=str)
async def test_a_whole_message_is_one(cell, tmp_path, ca_file):
    async with staged(cell, tmp_path / "home", ca_file) as (sidecar, _, signals), sdk(sidecar) as client:
        message = await streamed(client, signals.delivered)
        assert (message.content[0].text, message.stop_reason, message.usage.output_tokens) == ("café", "end_turn", 7)


@pytest.mark.parametrize("cell", [cell for cell in cells() if promised(cell).should_retry == "false"][:1], ids=str)
async def test_what_cannot_help_is_not_asked_again(cell: Cell, tmp_path, ca_file):
    async with staged(cell, tmp_path / "home", ca_file) as (sidecar, _, _), sdk(sidecar) as client:
        with pytest.raises(
            anthropic.APIStatusError,
            match=r"sidecar: gateway 'there' \(http://nowhere\.invalid:80\) cannot be reached: there is no such host",
        ):
            await client.messages.create(**PROMPT)
        assert len(await sidecar.rows()) == 1
