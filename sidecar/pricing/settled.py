"""What the price table lacks or has wrong, with the source of each fact, as of November 2026.  Data only.

Dollars per million tokens: input, output, read from a cache.  A write costs what input costs unless the model's vendor charges for it.
`scripts/prices` holds this file and the table against a second public one.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from sidecar.pricing.terms import Rates


def _rates(input_: str, output: str, read: str | None = None) -> Rates:
    fresh = Decimal(input_)
    return Rates(fresh, Decimal(output), fresh if read is None else Decimal(read), fresh, fresh)


#: Another name -> the name under which the table has the model.
ALIASES = {
    # docs.mistral.ai, "Models": what the newest versions are called.
    "mistral-large-latest": "mistral-large-2512",
    "mistral-medium": "mistral-medium-3-5",
    "mistral-medium-latest": "mistral-medium-3-5",
    # platform.kimi.ai: the coding plan's name of the model.
    "kimi-for-coding": "kimi-k2.7-code",
    # Azure writes version numbers without dots.
    "grok-4-20": "grok-4.20",
}

#: In the place of the table's own price, whoever sells.
REPLACED = {
    # api-docs.deepseek.com, "Models & Pricing", since 5 September 2025: one price at every hour.
    "deepseek-chat": _rates("0.28", "0.42", "0.028"),
    "deepseek-reasoner": _rates("0.28", "0.42", "0.028"),
    "deepseek-v3.2": _rates("0.28", "0.42", "0.028"),
    # mistral.ai/pricing: cached input costs a tenth (docs.mistral.ai, "Pricing", 29 September 2026).
    "magistral-medium-latest": _rates("1.5", "7.5", "0.15"),
    "magistral-small-latest": _rates("0.15", "0.6", "0.015"),
    "mistral-small-latest": _rates("0.15", "0.6", "0.015"),
    "devstral-latest": _rates("0.4", "2", "0.04"),
    "devstral-medium-latest": _rates("0.4", "2", "0.04"),
    "devstral-small-latest": _rates("0.1", "0.3", "0.01"),
    "codestral-latest": _rates("0.3", "0.9", "0.03"),
    "mistral-vibe-cli-latest": _rates("1.5", "7.5", "0.15"),
    "mistral-vibe-cli-with-tools": _rates("1.5", "7.5", "0.15"),
    "mistral-vibe-cli-fast": _rates("0.15", "0.6", "0.015"),
    "mistral-code-latest": _rates("0.3", "0.9", "0.03"),
    "mistral-code-agent-latest": _rates("0.4", "2", "0.04"),
    "mistral-large-3": _rates("0.5", "1.5", "0.05"),
    # docs.x.ai, "Models".
    "grok-code-fast-1": _rates("1", "2", "0.2"),
    "grok-code-fast-1-0825": _rates("1", "2", "0.2"),
    "grok-code-fast": _rates("1", "2", "0.2"),
}

#: Where the table has nothing.
ADDED = {
    # platform.claude.com, "Pricing".  A write for five minutes costs a quarter more than input, one for an hour twice as much.
    "claude-mythos-5": Rates(Decimal(10), Decimal(50), Decimal(1), Decimal("12.5"), Decimal(20)),
    "claude-mythos-5-1": Rates(Decimal(10), Decimal(50), Decimal("0.25"), Decimal("12.5"), Decimal(20)),
    "claude-mythos-preview": Rates(Decimal(10), Decimal(50), Decimal(1), Decimal("12.5"), Decimal(20)),
    # alibabacloud.com, Model Studio, international.
    "qwen-max": _rates("1.6", "6.4"),
    "qwen-plus": _rates("0.4", "1.2"),
    "qwen-turbo": _rates("0.05", "0.2"),
    "qwen-coder": _rates("0.3", "1.5"),
    "qwq-plus": _rates("0.8", "2.4"),
    "qwen3.7-max": _rates("2.5", "7.5", "0.5"),
    "qwen3.8-max": _rates("2", "6", "0.25"),
    "qwen3.8-flash": _rates("0.15", "0.47", "0.016"),
    "qwen3-next-80b-a3b-instruct": _rates("0.15", "1.2"),
    "qwen3-next-80b-a3b-thinking": _rates("0.15", "1.2"),
    "qwen3-vl-235b-a22b-instruct": _rates("0.4", "1.6"),
    "qwen3-vl-235b-a22b-thinking": _rates("0.4", "4"),
    "qwen3-vl-32b-instruct": _rates("0.16", "0.64"),
    "qwen3-vl-32b-thinking": _rates("0.16", "2.87"),
    # docs.z.ai, "Pricing".
    "glm-4.5-flash": _rates("0", "0", "0"),
    "glm-4.7-flash": _rates("0", "0", "0"),
    "glm-5-code": _rates("1.2", "5", "0.3"),
    "glm-5v-turbo": _rates("1.2", "4", "0.24"),
    # platform.minimax.io, "Pricing".
    "minimax-m2.1-lightning": _rates("0.3", "2.4", "0.03"),
    "minimax-m2.5-lightning": _rates("0.3", "2.4", "0.03"),
    # ai.google.dev, "Pricing".
    "gemini-4-hydrogen": _rates("1.5", "7.5", "0.075"),
    # aws.amazon.com/nova/pricing; a region's own profile costs more (below).
    "nova-micro": _rates("0.035", "0.14", "0.00875"),
    "nova-lite": _rates("0.06", "0.24", "0.015"),
    "nova-pro": _rates("0.8", "3.2", "0.2"),
    "nova-premier": _rates("2.5", "12.5", "0.625"),
    "nova-2-lite": _rates("0.3", "2.5", "0.075"),
}

#: Whose price a model has that several sell, where the gateway names no seller: (how the name begins, the table's provider).  Outside
#: China GLM costs what Z.ai takes (docs.z.ai), and not what Zhipu's platform on the mainland does.
SELLERS = (("glm-", "zai"),)

#: These names stand for open weights that everybody serves at a price of their own.  The vendor does not sell them any more.
OF_NOBODY = ("deepseek-r1",)
#: How an id of a cloud looks, and the families whose weights are open: each cloud sells those at a price of its own, which the table lacks.
OF_A_CLOUD = r"^(?:bedrock|bedrock_converse|bedrock_mantle|azure_ai|azure-ai|dashscope|vertex_ai)/|^(?:[a-z-]+\.)?(?:minimax|moonshotai|mistral|zai|deepseek|openai|qwen)\."
OPEN_WEIGHTS = r"deepseek|minimax|mixtral|ministral|mistral|voxtral|codestral|glm-|kimi-k2|gpt-oss|grok-3-mini|grok-code|qwen3-"
#: A small model that was taught by a large one has the large one's name in its own, and another price.
DISTILLED = "distill"

#: Mistral sells cached input at a tenth (docs.mistral.ai, "Pricing", 29 September 2026); the table has that for some models only.
CACHED_SHARE = {"mistral": Decimal("0.1")}

#: DeepSeek's peak hours are those of weekdays (api-docs.deepseek.com, "Models & Pricing"); the table has them on every day.  An hour of
#: the same day at which it is never peak.
DEEPSEEK_PEAK_IS_ON_WEEKDAYS = ("deepseek-flash", "deepseek-v4-flash", "deepseek-v4-pro")
OFF_PEAK_HOUR_UTC = 12

#: What a region's own endpoint adds: (what the id looks like, whose model, factor).  The first that fits.
#: aws.amazon.com/bedrock/pricing: geographic and in-region profiles against `global.`; azure.microsoft.com: data zones against global.
PREMIUMS = (
    (r"(?:^|/)us-gov(?:\.|-(?:east|west)-\d/)", r"claude-", Fraction(12, 10)),
    (r"(?:^|/)us-gov(?:\.|-(?:east|west)-\d/)", r"grok-|kimi-|gpt-(?!oss)", Fraction(132, 100)),
    (r"(?:^|/)us-gov(?:\.|-(?:east|west)-\d/)", r"", Fraction(12, 10)),
    (r"(?:^|/)(?:us|eu|apac|ap|au|jp|in|ca|sa)\.(?:anthropic|openai|xai|moonshotai)\.", r"claude-(?!3|instant|v)", Fraction(11, 10)),
    (r"^bedrock_mantle/(?!us-gov)", r"claude-(?!3|instant|v)|gpt-(?!oss)|grok-", Fraction(11, 10)),
    (r"^moonshotai\.", r"kimi-k3", Fraction(11, 10)),
    (r"(?:^|/)us\.amazon\.", r"nova-2", Fraction(11, 10)),
    (r"(?:^|/)(?:apac|jp)\.amazon\.", r"nova-2", Fraction(132, 100)),
    (r"(?:^|/)eu\.amazon\.", r"nova-2", Fraction(143, 100)),
    (r"(?:^|/)(?:us|eu|apac|ap|au|jp|in|ca|sa)\.(?:openai|xai|moonshotai)\.", r"gpt-(?!oss)|grok-|kimi-k3", Fraction(11, 10)),
    (r"(?:^|/)eu\.amazon\.", r"nova-(?!2)", Fraction(13125, 10000)),
    (r"(?:^|/)apac\.amazon\.", r"nova-(?!2)", Fraction(105, 100)),
    (r"(?:^|/)azure/(?:eu|apac)/", r"gpt-6", Fraction(12, 10)),
    (r"(?:^|/)azure/us-gov/", r"", Fraction(1375, 1000)),
    (r"(?:^|/)azure/(?:us|eu|apac)/", r"", Fraction(11, 10)),
)
#: Claude before this version costs the same in every region of Bedrock.
PREMIUM_SINCE = (4, 5)
