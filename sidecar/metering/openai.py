"""Usage as OpenAI's two formats report it, from whichever vendor.  Where the figures stand says `places.py`.

Several vendors send cumulative usage with every chunk: the last valid value of a figure wins, and nothing is added up.
"""

from __future__ import annotations

from sidecar.metering.places import OPENAI, TOOL_USAGE, WORDS, figures, reported_cost, vercels_cost
from sidecar.metering.reading import Usage
from sidecar.metering.values import member, text

_INPUT = ("input", "fresh", "read", "written", "written_short", "written_long")
_OUTPUT = ("output", "reasoning")
_TOOLS = ("searches", "fetches")


class Tally:
    """Folds the usage objects of one reply into a `Usage`."""

    def __init__(self) -> None:
        self._input: dict[str, int] = {}
        self._output: dict[str, int] = {}
        self._tools: dict[str, int] = {}
        self.words: dict[str, str] = {}
        self.cost_usd: float | None = None

    def fold(self, usage: object) -> bool:
        """Add what this usage object says; False if it holds no token count."""
        if not isinstance(usage, dict):
            return False
        found = _settled(figures(usage, OPENAI))
        incoming, outgoing = _only(found, _INPUT), _only(found, _OUTPUT)
        # Zeros for the whole input side are a translator's way of saying nothing.
        if any(incoming.values()) or not any(self._input.values()):
            self._input |= incoming
        self._output |= outgoing
        self._tools |= _only(found, _TOOLS)
        for name in WORDS:
            if name in usage and (word := text(usage[name])):
                self.words[name] = word
        cost = reported_cost(usage)
        self.cost_usd = self.cost_usd if cost is None else cost
        return bool(incoming or outgoing)

    def fold_tools(self, tool_usage: object) -> None:
        """Add what Responses say of hosted tools."""
        self._tools |= figures(tool_usage, TOOL_USAGE)

    def fold_answer(self, answer: object) -> None:
        """Add the cost that Vercel's gateway writes beside an answer, unless usage has one."""
        if self.cost_usd is None and member(answer, "provider_metadata"):
            self.cost_usd = vercels_cost(answer)

    def usage(self) -> Usage:
        total, fresh, read, written, short, long = map(self._input.get, _INPUT)
        if short is not None or long is not None:
            written = max(written or 0, (short or 0) + (long or 0))
        # Writes without a lifetime have the shorter one.
        short = None if written is None else written - (long or 0)
        if total is not None:
            fresh = max(total - (read or 0) - (written or 0), 0)
        return Usage(
            input=fresh,
            output=self._output.get("output"),
            cache_read=read,
            cache_write_5m=short,
            cache_write_1h=long,
            thinking=self._output.get("reasoning"),
            web_search_requests=self._tools.get("searches"),
            web_fetch_requests=self._tools.get("fetches"),
        )


def _settled(found: dict[str, int]) -> dict[str, int]:
    """The figures with `input` including the cache and `output` including reasoning, whatever the vendor means by them.

    The total says what a vendor counts beside the two: xAI reasoning (docs.x.ai, "Consumption and rate limits"), Google's form of Chat
    reasoning without a figure of its own, some translators for Claude the cache.
    """
    output, reasoning = found.get("output"), found.get("reasoning", 0)
    if output is None:
        return found
    if "all" not in found or "input" not in found:
        # More reasoning than output cannot be a part of it.
        return found | {"output": output + reasoning} if reasoning > output else found
    beside = found["all"] - found["input"] - output
    if beside <= 0:
        return found
    read = found.get("read", 0)
    written = max(found.get("written", 0), found.get("written_short", 0) + found.get("written_long", 0))
    if beside in (read, written, read + written):
        return found | {"input": found["input"] + beside}
    if not reasoning:
        return found | {"output": output + beside, "reasoning": beside}
    return found | {"output": output + reasoning} if beside >= reasoning else found


def _only(found: dict[str, int], names: tuple[str, ...]) -> dict[str, int]:
    return {name: found[name] for name in names if name in found}
