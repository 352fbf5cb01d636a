"""The places where gateways report usage: tables of data, and the functions which read them.

A table maps a member of a usage object to the name of a figure, or to the table of a nested object.  Vendors add members of their own to
three formats (Anthropic's Messages, OpenAI's Chat Completions and Responses), and translators between them keep those of both sides.
Where one figure is reported in several places, the largest count is meant: translators fill unused places with zeros.

Sources, as of November 2026: the types of the `anthropic`, `openai` and `xai-sdk` packages; the extractors of `genai-prices`; LiteLLM's
`Usage`; the API references of the vendors named beside each member.
"""

from __future__ import annotations

from typing import TypeAlias

from sidecar.metering.values import count, dollars, member

Table: TypeAlias = "dict[str, str | Table]"

#: Stands for every nested object which the table does not name.
ANY = "*"

_SERVER_TOOLS: Table = {"web_search_requests": "searches", "web_fetch_requests": "fetches"}
#: Anthropic's cache lifetimes, which other formats quote.
_LIFETIMES: Table = {"ephemeral_5m_input_tokens": "written_short", "ephemeral_1h_input_tokens": "written_long"}
#: OpenAI's lifetimes: 30 minutes are the ordinary ones, 12 hours cost twice the input price.
_TWELVE_HOURS: Table = {"ttl_12h_tokens": "written_long", "cache_write_12h_tokens": "written_long"}
#: xAI: server-side tools by the number of successful calls.
_XAI_TOOLS: Table = {"web_search_calls": "searches"}

#: Anthropic's Messages.  `fresh` is neither read from nor written to a cache.
MESSAGES: Table = {
    "input_tokens": "fresh",
    "output_tokens": "output",
    "cache_read_input_tokens": "read",
    "cache_creation_input_tokens": "written",
    "cache_creation": _LIFETIMES,
    "output_tokens_details": {"thinking_tokens": "reasoning"},
    "server_tool_use": _SERVER_TOOLS,
    "server_tool_use_details": _SERVER_TOOLS,
    # New API and its kin, which flatten the two lifetimes.
    "claude_cache_creation_5_m_tokens": "written_short",
    "claude_cache_creation_1_h_tokens": "written_long",
    # xAI's form of Messages.
    "server_side_tool_usage_details": _XAI_TOOLS,
}

_INPUT_DETAILS: Table = {
    # OpenAI and nearly everybody: Azure, DeepSeek, Google, Groq, MiniMax, Mistral, OpenRouter, Qwen, Vercel, xAI, Z.ai.
    "cached_tokens": "read",
    # Perplexity's Responses; Databricks.
    "cache_read_input_tokens": "read",
    # OpenAI since GPT-5.6, OpenRouter, LiteLLM.
    "cache_write_tokens": "written",
    # LiteLLM, for Claude.
    "cache_creation_tokens": "written",
    "cache_creation_token_details": _LIFETIMES,
    # Alibaba's DashScope (Qwen), for explicit caches.
    "cache_creation_input_tokens": "written",
    "cache_creation": _LIFETIMES,
    # New API.
    "cached_creation_tokens": "written",
    # LiteLLM, for Claude and Gemini.
    "web_search_requests": "searches",
    # OpenAI's 12-hour writes, in this object or in one of their own beneath it.
    **_TWELVE_HOURS,
    ANY: _TWELVE_HOURS,
}
_OUTPUT_DETAILS: Table = {"reasoning_tokens": "reasoning", "thinking_tokens": "reasoning"}

#: OpenAI's two formats.  `input` includes what was read from and written to a cache; `output` includes reasoning, at OpenAI itself.
OPENAI: Table = {
    # Chat Completions; then Responses, whose names translators put into Chat, too.
    "prompt_tokens": "input",
    "completion_tokens": "output",
    "input_tokens": "input",
    "output_tokens": "output",
    "total_tokens": "all",
    "prompt_tokens_details": _INPUT_DETAILS,
    "input_tokens_details": _INPUT_DETAILS,
    # Mistral's and LiteLLM's other spellings.
    "prompt_token_details": _INPUT_DETAILS,
    "input_token_details": _INPUT_DETAILS,
    "completion_tokens_details": _OUTPUT_DETAILS,
    "output_tokens_details": _OUTPUT_DETAILS,
    "completion_token_details": _OUTPUT_DETAILS,
    "output_token_details": _OUTPUT_DETAILS,
    # Moonshot (Kimi), Together; Mistral and vLLM; xAI before 2025.
    "cached_tokens": "read",
    "num_cached_tokens": "read",
    "cached_prompt_text_tokens": "read",
    # DeepSeek.
    "prompt_cache_hit_tokens": "read",
    "prompt_cache_miss_tokens": "fresh",
    # Claude behind LiteLLM, Databricks, New API: Anthropic's own members beside OpenAI's.
    "cache_read_input_tokens": "read",
    "cache_creation_input_tokens": "written",
    "cache_creation": _LIFETIMES,
    "claude_cache_creation_5_m_tokens": "written_short",
    "claude_cache_creation_1_h_tokens": "written_long",
    "server_tool_use": _SERVER_TOOLS,
    # OpenRouter's Chat.
    "server_tool_use_details": _SERVER_TOOLS,
    # Databricks, Modal, Perplexity.
    "reasoning_tokens": "reasoning",
    # xAI.
    "server_side_tool_usage_details": _XAI_TOOLS,
}

#: OpenAI's Responses: what the hosted tools did stands beside `usage`.
TOOL_USAGE: Table = {"web_search": {"num_requests": "searches"}}

#: What changes the price, as Anthropic's usage says it; LiteLLM repeats the words in Chat.
WORDS = ("service_tier", "speed", "inference_geo")

#: What the gateway itself says that the request cost, with how many of the unit make a dollar; the first place that holds a number counts.
_COSTS = (
    ("cost_in_usd_ticks", 10**10),  # xAI: what it bills, tools included.
    ("cost_in_nano_usd", 10**9),  # xAI, the same in another unit.
    ("cost", 1),  # OpenRouter, Vercel, Requesty, LiteLLM.
    ("estimated_cost", 1),  # DeepInfra.
)


def figures(usage: object, table: Table) -> dict[str, int]:
    """The counts which `table` finds in `usage`.  Whatever is no count is left out."""
    found: dict[str, int] = {}
    if isinstance(usage, dict):
        _collect(usage, table, found)
    return found


def _collect(values: dict[str, object], table: Table, found: dict[str, int]) -> None:
    anything = table.get(ANY)
    for name, value in values.items():
        place = table.get(name, anything)
        if place is None:
            continue
        if isinstance(place, str):
            if (number := count(value)) is not None and number >= found.get(place, 0):
                found[place] = number
        elif isinstance(value, dict):
            _collect(value, place, found)


def reported_cost(usage: object) -> float | None:
    """Dollars that the gateway says this request costs.

    Whoever brings a key of their own to OpenRouter pays the vendor, too: `cost` is OpenRouter's fee alone then, often $0, and
    `upstream_inference_cost` is the vendor's bill.  For everybody else it repeats `cost` (OpenRouter, "Usage accounting").
    """
    if not isinstance(usage, dict):
        return None
    cost = next((found for name, units in _COSTS if (found := _dollars(usage.get(name), units)) is not None), None)
    vendors = dollars(member(usage.get("cost_details"), "upstream_inference_cost"))
    if vendors is None and usage.get("is_byok") is True:
        return None  # the fee alone
    if vendors is None or cost is None:
        return vendors if cost is None else cost
    own_key = usage.get("is_byok")
    if not isinstance(own_key, bool):
        own_key = vendors > cost
    return cost + vendors if own_key else cost


def vercels_cost(answer: object) -> float | None:
    """Dollars that Vercel's gateway says an answer costs: what it takes off the credits, or with a key of one's own, for which it takes
    nothing, the vendor's price (vercel.com, "AI Gateway", provider options).
    """
    gateway = member(member(answer, "provider_metadata"), "gateway")
    return _decimal(member(gateway, "cost")) or _decimal(member(gateway, "marketCost"))


def _decimal(value: object) -> float | None:
    try:
        return dollars(float(value) if isinstance(value, str) else value)
    except ValueError:
        return None


def _dollars(value: object, units: int) -> float | None:
    if isinstance(value, dict):
        value = value.get("total_cost")  # Perplexity
    if units == 1 or isinstance(value, bool) or not isinstance(value, int | float):
        return dollars(value)
    return dollars(value / units) if 0 <= value < 10**9 * units else None
