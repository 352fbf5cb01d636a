"""`scripts/prices [FILE]`: every difference between the sidecar's prices and LiteLLM's table, with its reason.  Exit code 1: one has none."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from price_tables.reasons import REASONS
from sidecar.pricing import table
from sidecar.pricing.cost import rates_of
from sidecar.pricing.terms import Terms

#: Whose models are compared: these vendors, and the clouds and gateways that sell them.
_SELLERS = re.compile(
    r"anthropic|openai|text-completion-openai|gemini|vertex_ai.*|deepseek|moonshot|zai|minimax|xai|dashscope|mistral|bedrock.*|azure.*|openrouter"
)
_MODES = {"chat", "responses", "completion"}
#: A Wednesday, outside DeepSeek's peak.
_AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
#: Half a percent: the other table rounds.
_TOLERANCE = 0.005


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prices", description="Holds the sidecar's prices against LiteLLM's public table.")
    parser.add_argument("file", nargs="?", help="model_prices_and_context_window.json, or the copy of it in litellm's wheel")
    parser.add_argument("--all", action="store_true", help="print the differences that have a reason, too")
    args = parser.parse_args()
    path = args.file or _installed()
    if path is None:
        print("prices: give the path of LiteLLM's table, or install litellm", file=sys.stderr)
        return 2
    entries: dict[str, dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))
    same = explained = 0
    unexplained = []
    for model, entry in entries.items():
        if not _is_compared(entry):
            continue
        what = _difference(model, entry)
        if what is None:
            same += 1
        elif reason := next((why for pattern, why in REASONS if re.search(pattern, model)), None):
            explained += 1
            if args.all:
                print(f"{model}: {what} -- {reason}")
        else:
            unexplained.append(f"{model}: {what}")
    print(f"{same} prices are the same, {explained} differ for a reason that is written down, {len(unexplained)} for none")
    print("\n".join(unexplained), end="\n" if unexplained else "")
    return bool(unexplained)


def _installed() -> Path | None:
    found = importlib.util.find_spec("litellm")
    folder = found and found.submodule_search_locations
    return Path(folder[0], "model_prices_and_context_window_backup.json") if folder else None


def _is_compared(entry: dict[str, Any]) -> bool:
    priced = entry.get("input_cost_per_token") is not None and entry.get("output_cost_per_token") is not None
    return priced and entry.get("mode") in _MODES and _SELLERS.fullmatch(entry.get("litellm_provider", "")) is not None


def _difference(model: str, entry: dict[str, Any]) -> str | None:
    try:
        ours = rates_of(model, Terms(), _AT)
    except table.Unpriced:
        return "no price here"
    pairs = {
        "input": (ours.input, entry["input_cost_per_token"]),
        "output": (ours.output, entry["output_cost_per_token"]),
        "cache read": (ours.cache_read, entry.get("cache_read_input_token_cost")),
    }
    wrong = [
        f"{name} ${float(here):g} here, ${there * 1e6:g} there"
        for name, (here, there) in pairs.items()
        if there and abs(float(here) - there * 1e6) > _TOLERANCE * there * 1e6
    ]
    return ", ".join(wrong) or None


if __name__ == "__main__":
    sys.exit(main())
