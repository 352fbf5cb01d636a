"""The year that the ledger is measured with: the same requests in the ledger and in the transcripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from benchmark.ledger import ledger_file, transcripts, year

from sidecar.ledger.reports import report

#: 2026-11-21T09:30:00Z
NOW = 1795253400.0


def test_a_year_is_the_same_in_every_run_and_has_a_today():
    requests = list(year.requests(3000, NOW))
    assert requests == list(year.requests(3000, NOW))
    assert [each.number for each in requests] == list(range(len(requests)))
    assert 3000 <= len(requests) < 3600
    assert requests[0].at < NOW - 363 * 86400
    assert any(each.at >= NOW - NOW % 86400 for each in year.requests(60_000, NOW))


def test_ledger_and_transcripts_hold_the_same_tokens(tmp_path):
    path = str(tmp_path / "ledger.db")
    count = ledger_file.fill(path, year.requests(1000, NOW), NOW)
    transcripts.write(str(tmp_path), year.requests(1000, NOW))
    lines = [json.loads(line) for file in tmp_path.glob("projects/*/*.jsonl") for line in file.read_text().splitlines()]
    total = report(path, "model", since=datetime.fromtimestamp(0, UTC))["total"]
    assert total["requests"] == count
    assert len(lines) == count - total["errors"]
    usages = [line["message"]["usage"] for line in lines]
    assert sum(usage["input_tokens"] for usage in usages) == total["input_tokens"]
    assert sum(usage["cache_read_input_tokens"] for usage in usages) == total["cache_read_tokens"]
