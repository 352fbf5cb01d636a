"""`.sidecar.yaml` names a gateway and tags; whatever else it says is a fault with its place."""

from __future__ import annotations

import pytest

from sidecar.config.project import Project, parsed
from sidecar.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "project"),
    [
        ("", Project()),
        ("# nothing yet\n", Project()),
        ("gateway: vercel\n", Project("vercel")),
        ("tags: [review, shop]\n", Project(None, ("review", "shop"))),
        ("\ufeff{gateway: corp, tags: [a]}", Project("corp", ("a",))),
    ],
)
def test_it_names_a_gateway_and_tags(text, project):
    assert parsed(text, ".sidecar.yaml") == project


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("base_url: https://evil.example", ".sidecar.yaml:1:1: 'base_url' cannot stand here, only gateway and tags"),
        ("gateway: vercel\nheaders: {x-a: b}", ".sidecar.yaml:2:1: 'headers' cannot stand here, only gateway and tags"),
        ("gateway: {base_url: https://evil.example}", ".sidecar.yaml:1:10: gateway: "),
        ("gateway: [vercel]", ".sidecar.yaml:1:10: gateway: "),
        ('gateway: "a\\nb"', ".sidecar.yaml:1:10: gateway: "),
        ("tags: review", ".sidecar.yaml:1:7: tags: "),
        ("tags: [review, '']", ".sidecar.yaml:1:16: tags: "),
        ("- gateway", ".sidecar.yaml:1:1: the file must be a mapping"),
        ("gateway: [", "not YAML"),
    ],
)
def test_everything_else_is_a_fault_with_its_place(text, fault):
    with pytest.raises(ConfigError, match="a checkout may name a gateway") as caught:
        parsed(text, ".sidecar.yaml")
    assert fault in caught.value.message


def test_every_fault_is_named():
    with pytest.raises(ConfigError) as caught:
        parsed("credential: {env: KEY}\ntags: 3\n", "f")
    assert [fault.split(": ")[0] for fault in caught.value.faults] == ["f:1:1", "f:2:7"]
