"""Model ids as gateways and clouds write them -> the vendor's own id, by an ordered table of rewrites.  Pure.

    openrouter/anthropic/claude-4.5-sonnet-20250929                    -> claude-sonnet-4-5
    arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0    -> claude-sonnet-4-5
    vertex_ai/claude-sonnet-4-5@20250929                               -> claude-sonnet-4-5
    claude-3-5-haiku-20241022                                          -> claude-3-5-haiku
    openai/gpt-5.2                                                     -> gpt-5.2

A prefix that is not listed stays: what an operator calls `team/claude-sonnet-4-5` may be something else, at another price.
"""

from __future__ import annotations

import re

_GATEWAYS = (
    "openrouter|vercel|vercel_ai_gateway|ai-gateway|litellm|litellm_proxy|portkey|requesty|edgee|therouter|onerouter|helicone|cloudflare|"
    "bedrock|bedrock_converse|bedrock_mantle|aws|amazon-bedrock|converse|invoke|vertex|vertex_ai|vertex_ai_beta|google-vertex|azure|"
    "azure_ai|azure-ai|foundry|databricks|github_copilot|github-copilot|copilot|opencode|opencode-zen|groq|dashscope|models"
)
_VENDORS = (
    "anthropic|openai|google|gemini|deepseek|deepseek-ai|moonshotai|moonshot|z-ai|zai|zai-org|zhipu|zhipuai|minimax|minimaxai|x-ai|xai|"
    "mistral|mistralai|qwen|alibaba|meta|meta-llama|amazon|cohere"
)
_FAMILIES = "opus|sonnet|haiku|fable|mythos"

#: In this order, each once, on the id in lower case.
_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Claude Code's mark for a window of a million tokens.
        (r"\[\w+\]$", ""),
        # Bedrock: an ARN's last part; Vertex: a resource's last part and its method.
        (r"^arn:aws[\w-]*:bedrock:[^/]*/", ""),
        (r"^(?:.*/)?publishers/[^/]+/models/", ""),
        (r":(?:stream)?rawpredict$", ""),
        # Portkey writes @slug/model; Bedrock behind LiteLLM has its region in between.
        (r"^@(?!cf/)[^/]+/", ""),
        (rf"^(?:(?:{_GATEWAYS})/)+", ""),
        # Azure's data zones; Bedrock's way to Anthropic's own platform.
        (r"^(?:us-gov|us|eu|apac|global|global-standard)/(?=gpt|o\d|codex|computer)", ""),
        (r"^claude_platform/", ""),
        (r"^[a-z]{2}(?:-gov)?-[a-z]+-\d/", ""),
        (rf"^(?:~?(?:{_VENDORS})/)+", ""),
        (r"^(?:us-gov|us|eu|apac|ap|au|jp|in|ca|sa|global|regional)\.", ""),
        (rf"^(?:{_VENDORS})\.", ""),
        (r"^databricks-(?=claude-|gpt-|gemini-)", ""),
        # Bedrock's revisions, with the context length that provisioned throughput adds.  Without a colon it may be a version of another
        # vendor's: `deepseek-v3`.  OpenRouter's variants at the same price.
        (r"-v\d+:\d+(?::\w+)?$", ""),
        (r"^(claude-.+)-v\d+$", r"\1"),
        (r":(?:beta|thinking|nitro|exacto|online)$", ""),
        # Vertex: models that Google serves for other vendors.
        (r"-maas$", ""),
        (r"@(?:\d{8}|default|latest)$", ""),
        # OpenRouter's canonical order and dots, then dates.  Other vendors' dated models have prices of their own.
        (rf"^claude-([4-9])[.-](\d{{1,2}})-({_FAMILIES})\b", r"claude-\3-\1-\2"),
        (rf"^claude-([4-9])-({_FAMILIES})\b", r"claude-\2-\1"),
        (rf"^claude-({_FAMILIES})-3[.-](\d)\b", r"claude-3-\2-\1"),
        (r"^claude-3\.(\d)\b", r"claude-3-\1"),
        (rf"^claude-({_FAMILIES})-(\d+)\.(\d+)\b", r"claude-\1-\2-\3"),
        (r"^(claude-.+?)-(?:\d{8}|\d{4}-\d\d-\d\d|latest)\b", r"\1"),
    )
)


def canonical(model: str) -> str:
    """The vendor's own id of `model`, in lower case; of Claude's without a date."""
    name = model.strip().lower()
    for pattern, replacement in _REWRITES:
        name = pattern.sub(replacement, name)
    return name
