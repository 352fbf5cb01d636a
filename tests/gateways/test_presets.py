"""What the presets say of each gateway, held against the gateways' own documents."""

from __future__ import annotations

import pytest
from genai_prices.data import providers

from sidecar.config import scalars
from sidecar.gateways.gateway import Auth
from sidecar.gateways.presets import Preset, credential_headers, presets

BEARER = Auth("authorization", "Bearer")
API_KEY = Auth("x-api-key")


@pytest.mark.parametrize(
    ("name", "base_url", "auth", "first_variable"),
    [
        ("anthropic", "https://api.anthropic.com", API_KEY, "ANTHROPIC_API_KEY"),
        ("vercel", "https://ai-gateway.vercel.sh", BEARER, "AI_GATEWAY_API_KEY"),
        ("onerouter", "https://llm.onerouter.pro", API_KEY, "ONEROUTER_API_KEY"),
        ("therouter", "https://api.therouter.ai", API_KEY, "THEROUTER_API_KEY"),
        ("edgee", "https://api.edgee.ai", BEARER, "EDGEE_API_KEY"),
        ("openrouter", "https://openrouter.ai/api", BEARER, "OPENROUTER_API_KEY"),
        ("litellm", None, BEARER, "LITELLM_API_KEY"),
        ("zai", "https://api.z.ai/api/anthropic", BEARER, "ZAI_API_KEY"),
        ("moonshot", "https://api.moonshot.ai/anthropic", BEARER, "MOONSHOT_API_KEY"),
        ("deepseek", "https://api.deepseek.com/anthropic", API_KEY, "DEEPSEEK_API_KEY"),
        ("minimax", "https://api.minimax.io/anthropic", BEARER, "MINIMAX_API_KEY"),
    ],
)
def test_where_a_gateway_is_and_how_it_takes_its_key(name, base_url, auth, first_variable):
    preset = presets()[name]
    assert (preset.base_url, preset.auth, preset.variables[0]) == (base_url, auth, first_variable)


@pytest.mark.parametrize("preset", presets().values(), ids=presets())
def test_a_preset_holds_what_a_users_own_file_might(preset: Preset):
    assert preset.base_url is None or scalars.url(preset.base_url) == preset.base_url
    assert preset.model_form in (None, "dotted", "at_date")
    assert preset.price_provider is None or scalars.text(preset.price_provider)
    for auth in (preset.auth, preset.beside or preset.auth):
        scalars.header_name(auth.header)
        scalars.no_control(auth.scheme)
    for judge, texts in (
        (scalars.variable_name, (*preset.variables, *preset.agent_env)),
        (scalars.header_name, (*preset.also_accepts, *preset.headers)),
        (scalars.header_value, preset.headers.values()),
        (scalars.path, (*preset.paths, *preset.paths.values(), preset.check or "/")),
        (scalars.tag, (*preset.models, *preset.models.values())),
        (scalars.literal, preset.agent_env.values()),
    ):
        assert [judge(text) for text in texts] == list(texts)


def test_session_and_tags_go_only_where_a_carrier_is_documented():
    assert {name: dict(preset.headers) for name, preset in presets().items() if preset.headers} == {
        "edgee": {"x-edgee-session-id": "{session}", "x-edgee-tags": "{tags}"},
        "openrouter": {"x-session-id": "{session}"},
        "litellm": {"x-litellm-session-id": "{session}", "x-litellm-tags": "{tags}"},
    }


def test_model_forms_and_paths():
    assert {name: preset.model_form for name, preset in presets().items() if preset.model_form} == {
        "vercel": "dotted",
        "therouter": "dotted",
        "openrouter": "dotted",
        "onerouter": "at_date",
    }
    assert {name: preset.paths for name, preset in presets().items() if preset.paths} == {
        "therouter": {"/v1/messages": "/v1/anthropic/messages"}
    }


def test_a_key_beside_the_clients_login_has_its_own_header():
    assert {name: preset.beside for name, preset in presets().items() if preset.beside} == {
        "vercel": Auth("x-ai-gateway-api-key", "Bearer"),
        "edgee": Auth("x-edgee-api-key"),
    }


def test_only_anthropic_is_known_to_carry_what_a_custom_base_url_switches_off():
    assert [name for name, preset in presets().items() if preset.agent_env] == ["anthropic"]


def test_every_header_in_which_some_gateway_takes_a_key_is_known():
    assert credential_headers() == {
        "authorization",
        "x-api-key",
        "x-edgee-api-key",
        "x-ai-gateway-api-key",
        "x-litellm-api-key",
    }


def test_price_providers_exist_in_the_price_table():
    named = {preset.price_provider for preset in presets().values() if preset.price_provider}
    assert named <= {provider.id for provider in providers}
