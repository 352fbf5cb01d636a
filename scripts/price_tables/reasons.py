"""Why a price differs from LiteLLM's, or is missing here: (pattern of the id, reason).  The first that fits."""

from __future__ import annotations

REASONS = (
    (r"grok-4\.3", "LiteLLM has a smaller addition for this model than for its successors"),
    (r"kimi-k(?:3\.1|2\.5)|bedrock_mantle/.*(?:oss|qwen|nvidia|kimi)|bedrock_mantle/anthropic\.claude-haiku-4-5", "AWS's own price"),
    (r"^ft:|^(?:babbage|davinci)-002", "fine-tuned and base completion models: nobody runs an agent on them, and none is priced"),
    (r"mythos-preview", "a preview by invitation: each cloud's price is a matter of contract"),
    (r"deepseek-(?:flash|v4-flash|v4-pro)", "LiteLLM has the peak price for every hour; DeepSeek halves it off-peak"),
    (r"deepseek", "open weights, or a model that DeepSeek has retired: each seller has a price of its own"),
    (r"anthropic\.claude-(?:instant|v\d)|claude-3-7-sonnet-20240620|claude-3-5-haiku", "retired, at a cloud's price of its day"),
    (r"claude-\d-\d-|claude-3", "retired"),
    (
        r"^bedrock/|^bedrock_converse/|^(?:[a-z-]+\.)?(?:amazon|ai21|meta|cohere|writer|nvidia|qwen|google|mistral|minimax|openai|zai)\.",
        "models of other vendors on Bedrock: by region, at AWS's own price; the table has those of some",
    ),
    (
        r"^azure_ai/|^azure/(?:mistral|model|chat-latest|us/gpt-chat-latest)",
        "Azure's own price for models of other vendors, or no model's name",
    ),
    (r"^azure/gpt-4-turbo", "LiteLLM has a data zone's price for the ordinary name"),
    (r"gpt-5\.[45]-pro|gpt-4o-search-preview", "OpenAI lists no cached price"),
    (
        r"-maas$|^vertex_ai/(?:mistral|codestral|jamba|meta|gemma|openai|qwen|xai|deepseek|zai|moonshot|ai21)|^text-unicorn",
        "models of other vendors on Vertex: at Google's own price",
    ),
    (
        r"gemini-2\.0-flash|gemini.*-tts|gemini-exp|computer-use|deep-research|lyria|learnlm|gemma|robotics|omni|cyber|gemini-4-argon",
        "previews, speech and experiments that no agent uses, or retired",
    ),
    (
        r"^mistral/(?:zai-|glm-|deepseek|labs-|open-|ministral|codestral-mamba|pixtral|mistral-code-fim|mistral-tiny|voxtral)",
        "models that Mistral hosts for others, or has retired",
    ),
    (r"^mistral/", "retired or experimental"),
    (r"^dashscope/", "Alibaba's own price for models of others, or a dated version of its own"),
    (
        r"codex-mini|computer-use|gpt-audio|gpt-4-turbo-vision|gpt-6-astra-law|gpt-5-search|gpt-5\.1-codex|chat-latest|daybreak|-cyber",
        "not in the table, and not sold to everybody",
    ),
    (r"^(?:us|eu|apac|au|jp|in|global|us-gov)\.", "a region's profile of a model that the table lacks"),
    (r"moonshot-v1-auto|grok-build-latest|glm-4-32b|glm-4\.5v|minimax", "an alias that stands for several models"),
    (r"azure/", "not in the table under Azure's name"),
    (r"^openrouter/", "OpenRouter's own table is asked where OpenRouter is the gateway"),
    (r"gpt-5\.2-pro|gpt-5-pro", "no agent's model; the table has no dated version"),
)
