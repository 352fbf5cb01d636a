"""The usage objects of OpenAI's two formats.  Input includes what was read from and written to a cache, output includes reasoning.

Sources: the `openai` package's types `CompletionUsage` and `ResponseUsage`.  Variants: DeepSeek says `prompt_cache_hit_tokens` and
`prompt_cache_miss_tokens`, OpenRouter adds `cost`, several send cumulative usage on every chunk: the last valid value wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.metering.reading import Usage
from sidecar.metering.values import count, dollars, member

if TYPE_CHECKING:
    from collections.abc import Callable


class Tally:
    """Folds usage objects.  `prompt` and `completion` are the format's words for the two sides: `prompt`/`completion`, `input`/`output`."""

    def __init__(self, prompt: str, completion: str) -> None:
        self._prompt = prompt
        self._completion = completion
        self._input: dict[str, int] = {}
        self._output: dict[str, int] = {}
        self.cost_usd: float | None = None

    def fold(self, usage: object) -> bool:
        """Take over what this usage object says; False if it holds no token count."""
        details = member(usage, f"{self._prompt}_tokens_details")
        incoming = _known(
            total=_first(member(usage, f"{self._prompt}_tokens")),
            read=_first(member(details, "cached_tokens"), member(usage, "prompt_cache_hit_tokens")),
            written=_first(member(details, "cache_write_tokens")),
            fresh=_first(member(usage, "prompt_cache_miss_tokens")),
        )
        outgoing = _known(
            total=_first(member(usage, f"{self._completion}_tokens")),
            reasoning=_first(member(member(usage, f"{self._completion}_tokens_details"), "reasoning_tokens")),
        )
        # Zeros for the whole input side are a translator's way of saying nothing.
        if any(incoming.values()) or not any(self._input.values()):
            self._input |= incoming
        self._output |= outgoing
        cost = dollars(member(usage, "cost"))
        self.cost_usd = self.cost_usd if cost is None else cost
        return bool(incoming or outgoing)

    def usage(self) -> Usage:
        known: Callable[[str], int | None] = self._input.get
        total, read, written = known("total"), known("read"), known("written")
        fresh = known("fresh") if total is None else max(total - (read or 0) - (written or 0), 0)
        # Where cache writes are told apart at all, no lifetime is: they last minutes, the shorter of the two there are.
        return Usage(
            input=fresh, output=self._output.get("total"), cache_read=read, cache_write_5m=written, thinking=self._output.get("reasoning")
        )


def _first(*values: object) -> int | None:
    return next((number for value in values if (number := count(value)) is not None), None)


def _known(**counts: int | None) -> dict[str, int]:
    return {name: number for name, number in counts.items() if number is not None}
