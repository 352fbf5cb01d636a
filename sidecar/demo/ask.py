"""What one request asks of the stand-in, whatever the format; and how one to the Messages API says it.  Pure: bytes in, an `Ask` out.

Tokens are made up but fixed by the request, so that a test can say beforehand what the ledger must hold: four characters of compact
JSON are one token.  The cache is made up in the same way, with no memory: a request that marks anything with `cache_control` writes
its tools and system prompt to the cache on its first turn and reads them on every later one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

Json = dict[str, object]

_TOOL_WANTED = re.compile(r"use tool (\w+) (?=\{)")


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    input: Json


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens of the input.  The parts never overlap."""

    fresh: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def total(self) -> int:
        return self.fresh + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class Ask:
    """`text` is what the user said last, without what a client wraps around it; `calls` are the tools to use now.

    `tool_results` is None unless the request brings some; `wants_usage` is what only Chat Completions can say no to.
    """

    model: str
    stream: bool
    thinks: bool
    text: str
    tool_results: str | None
    calls: tuple[ToolCall, ...]
    prompt: Prompt
    wants_usage: bool = True


def of_openai(
    fields: Json, model: str, before: list[Json], since: list[Json], results: list[str], tools: set[str], *, wants_usage: bool = True
) -> Ask:
    """An `Ask` of Chat Completions or Responses: the items up to the model's last word, those since then, and what tools said in these."""
    texts = [text_of(item.get("content")) for item in since if item.get("role") == "user"]
    text = texts[-1].strip() if texts and not results else ""
    return Ask(
        model=model,
        stream=fields.get("stream") is True,
        thinks=False,
        text=text,
        tool_results="\n".join(results) if results else None,
        calls=wanted(text, tools),
        prompt=prompt_without_marks(before, since),
        wants_usage=wants_usage,
    )


def read(body: bytes) -> Ask:
    """ValueError for what is no Messages request; its text is the error message."""
    fields, model = opened(body)
    messages = objects(fields.get("messages"))
    if not messages:
        raise ValueError("messages: Field required")
    # Claude Code puts notes of its own behind the user's message, in the role `system`.
    turn = max((at for at, message in enumerate(messages) if message.get("role") == "user"), default=0)
    blocks = _blocks(messages[turn])
    results = [text_of(block.get("content")) for block in blocks if block.get("type") == "tool_result"]
    texts = [str(block.get("text")) for block in blocks if block.get("type") == "text"]
    said = [text for text in texts if not text.startswith("<system-reminder>")]
    text = said[-1].strip() if said and not results else ""
    thinking = fields.get("thinking")
    return Ask(
        model=model,
        stream=fields.get("stream") is True,
        thinks=isinstance(thinking, dict) and thinking.get("type") != "disabled",
        text=text,
        tool_results="\n".join(results) if results else None,
        calls=wanted(text, {str(tool.get("name")) for tool in objects(fields.get("tools"))}),
        prompt=_prompt(fields, messages[:turn], messages[turn:]),
    )


def opened(body: bytes) -> tuple[Json, str]:
    """The request's fields and its model, which every format has.  ValueError for anything else."""
    request = json.loads(body)
    fields = request if isinstance(request, dict) else {}
    model = fields.get("model")
    if not isinstance(model, str):
        raise ValueError("model: Field required")
    return fields, model


def tokens(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False)) // 4 + 1


def wanted(text: str, offered: set[str]) -> tuple[ToolCall, ...]:
    """Every `use tool NAME {json input}` in the text, if the request offers that tool.  The input may hold a prompt that does the same."""
    calls = []
    end = 0
    while found := _TOOL_WANTED.search(text, end):
        try:
            given, end = json.JSONDecoder().raw_decode(text, found.end())
        except ValueError:
            end = found.end()
            continue
        if found[1] in offered:
            calls.append(ToolCall(found[1], given))
    return tuple(calls)


def _prompt(fields: Json, earlier: list[Json], last: list[Json]) -> Prompt:
    prefix = {name: fields[name] for name in ("tools", "system") if fields.get(name)}
    if '"cache_control"' not in json.dumps(fields):
        return Prompt(fresh=tokens([prefix, *earlier, *last]))
    if any(message.get("role") == "assistant" for message in earlier):
        return Prompt(fresh=tokens(last), cache_read=tokens(prefix), cache_write_5m=tokens(earlier))
    if '"ttl": "1h"' in json.dumps(prefix):
        return Prompt(fresh=tokens([*earlier, *last]), cache_write_1h=tokens(prefix))
    return Prompt(fresh=tokens([*earlier, *last]), cache_write_5m=tokens(prefix))


def prompt_without_marks(earlier: list[Json], last: list[Json]) -> Prompt:
    """OpenAI's cache asks for no marks and charges for no writes: what an earlier turn has sent is read."""
    return Prompt(fresh=tokens(last), cache_read=tokens(earlier)) if earlier else Prompt(fresh=tokens(last))


def _blocks(message: Json) -> list[Json]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)


def text_of(content: object) -> str:
    """Of a message or a tool result: a string, or blocks of which some are text."""
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in objects(content) if str(block.get("type")).endswith("text"))


def objects(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def member(fields: Json, name: str) -> Json:
    """The object of that name, empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}
