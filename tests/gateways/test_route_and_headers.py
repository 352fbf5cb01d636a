from __future__ import annotations

import dataclasses

import pytest

from sidecar.budgets.budget import Budget, Limit, Per, Unit
from sidecar.config.settings import Settings
from sidecar.errors import Refusal
from sidecar.gateways.gateway import Auth, Gateway, ModelRule, Secret
from sidecar.gateways.headers import Outgoing
from sidecar.gateways.route import mapped, route
from sidecar.launch.passes import Pass
from sidecar.sessions.session import identify
from sidecar.wire.body import peek
from sidecar.wire.fields import by_name
from sidecar.wire.target import Kind, Target, call_of

PLAIN = Gateway(
    name="plain",
    preset=None,
    base_url="https://g.example/base",
    auth=Auth("x-api-key"),
    credential=Secret(()),
    credential_headers=frozenset({"authorization", "x-api-key", "x-edgee-api-key"}),
)
BESIDE = dataclasses.replace(PLAIN, name="beside", auth=Auth("x-edgee-api-key"), beside=True)
VALUES = dict.fromkeys(("session", "tags", "project", "repo", "branch", "user", "gateway"), "") | {"session": "s1"}


def choose(gateway: Gateway, *, fields=(), body=b"{}", path="/v1/messages", method="POST", pinned=None):
    caller = identify(Pass("r", 1, gateway=pinned), by_name(fields), None)
    settings = Settings({gateway.name: gateway}, gateway=gateway.name)
    seen = peek(body)
    target = Target.parse(path)
    return mapped(route(settings, caller, call_of(method, target.path), target, by_name(fields), seen.model), body)


def test_a_mapped_model_changes_its_own_bytes_only():
    mapping = dataclasses.replace(
        PLAIN, model_rules=(ModelRule("claude-haiku-*", "house-small"),), paths={"/v1/messages": "/v1/anthropic/messages"}
    )
    there, sent = choose(mapping, body=b'{ "model":"claude-haiku-4-5","x":1.0}', path="/v1/messages?beta=true")
    assert b"".join(sent) == b'{ "model":"house-small","x":1.0}'
    assert (there.model_requested, there.model_sent, there.target) == (
        "claude-haiku-4-5",
        "house-small",
        "/v1/anthropic/messages?beta=true",
    )
    assert (there.kind, there.billing) == (Kind.INFERENCE, "metered")


@pytest.mark.parametrize("body", [b"not json", b'{"model":"claude-haiku-4-5","model":"x"}', b'{"model":"other"}'])
def test_any_other_body_is_the_agents_own(body):
    mapping = dataclasses.replace(PLAIN, model_rules=(ModelRule("claude-haiku-*", "house-small"),))
    (sent,) = choose(mapping, body=body)[1]
    assert sent is body


@pytest.mark.parametrize("fields", [[(b"Authorization", b"Bearer sk-ant-oat01-x")], [(b"anthropic-beta", b"a, oauth-2025-04-20")]])
def test_a_subscription_is_never_moved_to_metered_billing(fields):
    with pytest.raises(Refusal) as refused:
        choose(PLAIN, fields=fields)
    assert refused.value.code == "subscription_login"
    assert choose(BESIDE, fields=fields)[0].billing == "subscription"


def test_an_unknown_gateway_is_named_with_who_asked_for_it():
    with pytest.raises(Refusal, match="pinned") as refused:
        choose(PLAIN, pinned="gone")
    assert refused.value.code == "unknown_gateway"
    with pytest.raises(Refusal, match="x-sidecar-gateway"):
        choose(PLAIN, fields=[(b"x-sidecar-gateway", b"gone")])


@pytest.mark.parametrize(
    "path",
    [
        "/key/generate",
        "/v1/../key/generate",
        "/v1/%2e%2e/key",
        "/v1/..;/key",
        "/v1/%2e%2e;/key",
        "/v1/..%3b/key",
        "//key/v1/x",
        "/V1/messages",
    ],
)
def test_paths_that_only_does_not_allow_are_refused(path):
    limited = dataclasses.replace(PLAIN, only=("/v1/*",))
    with pytest.raises(Refusal) as refused:
        choose(limited, path=path)
    assert refused.value.code == "forbidden_path"
    assert choose(limited, path="/v1/models", method="GET")[0].kind is Kind.OTHER


LIMITS = {
    "only": ({"only": ("/v1/*",)}, ()),
    "paths": ({"paths": {"/v1/messages": "/anthropic/v1/messages"}}, ()),
    "a budget": ({}, (Budget(Per.DAY, Limit(10**9, Unit.DOLLARS)),)),
}


@pytest.mark.parametrize(("more", "budgets"), LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize(
    "path", ["/v1/x/../messages", "/v1/messages;a", "/v1%2fmessages", "/v1/mess%2561ges", "/v1\\messages", "/v1/./messages"]
)
def test_a_path_that_servers_read_in_different_ways_is_refused_where_that_matters(path, more, budgets):
    caller, target = identify(Pass("r", 1), {}, None), Target.parse(path)

    def chosen(gateway, budgets):
        settings = Settings({gateway.name: gateway}, gateway=gateway.name, budgets=budgets)
        return route(settings, caller, call_of("POST", target.path), target, {}, None)

    assert chosen(PLAIN, ()).target == path
    assert chosen(PLAIN, ()).kind is Kind.INFERENCE
    with pytest.raises(Refusal, match="in different ways") as refused:
        chosen(dataclasses.replace(PLAIN, **more), budgets)
    assert refused.value.code == "forbidden_path"


@pytest.mark.parametrize("path", ["//v1/messages", "/v1/messages/", "/v1//messages", "/v1/message%73"])
def test_another_spelling_of_a_path_is_that_path(path):
    limited = dataclasses.replace(PLAIN, only=("/v1/messages",))
    assert choose(limited, path=path)[0].target == path, "what goes out is what came"
    moved = dataclasses.replace(PLAIN, paths={"/v1/messages": "/anthropic/v1/messages"})
    assert choose(moved, path=path)[0].target == "/anthropic/v1/messages"


CLIENT = [
    (b"Host", b"127.0.0.1"),
    (b"Authorization", b"Bearer theirs"),
    (b"X-Api-Key", b"theirs"),
    (b"X-Edgee-Api-Key", b"theirs"),
    (b"anthropic-beta", b"a,b"),
    (b"Anthropic-Unknown", b"1"),
    (b"Content-Length", b"2"),
]


def test_a_replace_gateway_gets_one_credential_its_own():
    assert Outgoing(CLIENT, by_name(CLIENT), PLAIN, VALUES).filled("key", {}, None) == [
        (b"anthropic-beta", b"a,b"),
        (b"Anthropic-Unknown", b"1"),
        (b"Content-Length", b"2"),
        (b"x-api-key", b"key"),
    ]


def test_a_beside_gateway_gets_its_own_beside_the_clients():
    assert Outgoing(CLIENT, by_name(CLIENT), BESIDE, VALUES).filled("key", {}, None) == [
        (b"Authorization", b"Bearer theirs"),
        (b"X-Api-Key", b"theirs"),
        (b"anthropic-beta", b"a,b"),
        (b"Anthropic-Unknown", b"1"),
        (b"Content-Length", b"2"),
        (b"x-edgee-api-key", b"key"),
    ]


def test_templates_are_filled_and_empty_ones_send_nothing():
    gateway = dataclasses.replace(
        PLAIN,
        auth=Auth("authorization", "Bearer"),
        headers=(("x-session", "{session}"), ("x-tags", "{tags}"), ("x-mixed", "a-{session}"), ("x-second", Secret(()))),
    )
    theirs = [(b"X-Session", b"theirs"), (b"X-Tags", b"theirs")]
    sent = Outgoing(theirs, by_name(theirs), gateway, VALUES).filled("key", {"x-second": "two"}, 7)
    assert sent == [
        (b"X-Tags", b"theirs"),
        (b"Content-Length", b"7"),
        (b"authorization", b"Bearer key"),
        (b"x-session", b"s1"),
        (b"x-mixed", b"a-s1"),
        (b"x-second", b"two"),
    ]


def test_a_changed_body_has_a_changed_length_where_it_stood():
    assert Outgoing(CLIENT[-1:], by_name(CLIENT[-1:]), PLAIN, VALUES).filled("key", {}, 10) == [
        (b"Content-Length", b"10"),
        (b"x-api-key", b"key"),
    ]


def test_a_template_cannot_smuggle_a_line():
    gateway = dataclasses.replace(PLAIN, headers=(("x-branch", "{branch}"),))
    with pytest.raises(Refusal) as refused:
        Outgoing([], by_name([]), gateway, VALUES | {"branch": "a\r\nx: y"}).filled("key", {}, None)
    assert refused.value.code == "bad_header"


def test_neither_key_nor_length_of_one_request_is_left_for_the_next():
    gateway = dataclasses.replace(PLAIN, headers=(("x-second", Secret(())),))
    fields = Outgoing(CLIENT[-1:], by_name(CLIENT[-1:]), gateway, VALUES)
    for key, length in (("one", 5), ("two", None), ("three", 70)):
        assert fields.filled(key, {"x-second": key * 2}, length) == [
            (b"Content-Length", b"%d" % (length or 2)),
            (b"x-api-key", key.encode()),
            (b"x-second", key.encode() * 2),
        ]
