from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.pricing.names import canonical

TEXT = """
    claude-sonnet-4-5
    claude-sonnet-4-5-20250929
    claude-sonnet-4-5-2025-09-29
    claude-sonnet-4-5-latest
    Claude-Sonnet-4-5
    claude-sonnet-4-5[1m]
    claude-sonnet-4-5-20250929[1M]
    claude-sonnet-4.5
    claude-4.5-sonnet
    claude-4-5-sonnet-20250929
    anthropic/claude-sonnet-4.5
    anthropic/claude-4.5-sonnet-20250929
    ~anthropic/claude-sonnet-4.5
    anthropic/claude-sonnet-4.5:beta
    anthropic/claude-sonnet-4.5:thinking
    openrouter/anthropic/claude-sonnet-4.5
    vercel/anthropic/claude-sonnet-4.5
    litellm_proxy/claude-sonnet-4-5
    @anthropic-prod/claude-sonnet-4-5-20250929
    claude-sonnet-4-5@20250929
    claude-sonnet-4-5@default
    vertex_ai/claude-sonnet-4-5@20250929
    publishers/anthropic/models/claude-sonnet-4-5@20250929
    projects/p-1/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict
    anthropic.claude-sonnet-4-5-20250929-v1:0
    us.anthropic.claude-sonnet-4-5-20250929-v1:0
    us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0
    apac.anthropic.claude-sonnet-4-5-20250929-v1:0
    global.anthropic.claude-sonnet-4-5-20250929-v1:0
    anthropic.claude-sonnet-4-5-20250929-v1:0:200k
    bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
    bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0
    bedrock/us-east-1/anthropic.claude-sonnet-4-5-20250929-v1:0
    bedrock/us-gov-west-1/anthropic.claude-sonnet-4-5-20250929-v1:0
    arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0
    arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0
    databricks-claude-sonnet-4-5
    databricks/databricks-claude-sonnet-4-5
    azure_ai/claude-sonnet-4-5
"""
SONNET = [line.strip() for line in TEXT.strip().splitlines()]


@pytest.mark.parametrize("model", SONNET)
def test_one_model_has_many_names(model):
    assert canonical(model) == "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("anthropic/claude-3.5-haiku", "claude-3-5-haiku"),
        ("claude-haiku-3.5", "claude-3-5-haiku"),
        ("claude-3-5-haiku@20241022", "claude-3-5-haiku"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"),
        ("claude-3-opus-latest", "claude-3-opus"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-4-opus-20250514", "claude-opus-4"),
        ("anthropic/claude-opus-4", "claude-opus-4"),
        ("claude-5-sonnet", "claude-sonnet-5"),
        ("anthropic/claude-fable-5.1", "claude-fable-5-1"),
        ("anthropic/claude-opus-4.8-fast", "claude-opus-4-8-fast"),
        ("anthropic/claude-opus-4.5:batch", "claude-opus-4-5:batch"),
        ("openai/gpt-5.2", "gpt-5.2"),
        ("openrouter/openai/gpt-5.2", "gpt-5.2"),
        ("azure/gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("z-ai/glm-4.7", "glm-4.7"),
        ("moonshotai/kimi-k2-0905-preview", "kimi-k2-0905-preview"),
        ("minimax/MiniMax-M2.7", "minimax-m2.7"),
        ("@cf/meta/llama-3", "@cf/meta/llama-3"),
        ("team/claude-sonnet-4-5", "team/claude-sonnet-4-5"),
        ("deepseek/deepseek-v3", "deepseek-v3"),
        ("embed-v4", "embed-v4"),
        ("mistral.mistral-large-2402-v1:0", "mistral-large-2402"),
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("house-small", "house-small"),
        ("", ""),
    ],
)
def test_what_is_another_model_stays_another(model, name):
    assert canonical(model) == name


@given(st.text(max_size=60) | st.sampled_from(SONNET))
def test_a_name_that_was_rewritten_stays(model):
    once = canonical(model)
    if model in SONNET:
        assert canonical(once) == once
