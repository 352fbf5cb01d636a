"""What a configuration file becomes, and how each thing that can be wrong in it is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.budgets.budget import Budget, Limit, Per, Unit
from sidecar.config.load import load, parsed
from sidecar.config.settings import Settings, Timeouts
from sidecar.errors import ConfigError
from sidecar.gateways.gateway import Auth, Command, KeyFile, Keyring, ModelRule, Secret, SecretFile, Variable
from sidecar.launch.places import Places

CONTRACT = """\
listen: 127.0.0.1:4180
hosts: [host.docker.internal]
gateway: vercel
tags: [laptop]
gateways:
  vercel: {}
  edgee:
    credential: {env: MY_EDGEE_KEY}
    tags: [production]
    headers: {x-edgee-debug: "true", X-Edgee-Tags: "{tags},more"}
    beside: true
  router:
    preset: therouter
    paths: {/v1/messages: /v1/other/messages}
  zai:
    agent_env: {ANTHROPIC_DEFAULT_HAIKU_MODEL: glm-4.7}
  anthropic:
    credential: {file: keys.env, key: ANTHROPIC}
    agent_env: {ENABLE_TOOL_SEARCH: "false"}
  corp:
    base_url: https://llm.corp.example/anthropic/
    auth: {header: authorization, scheme: Bearer}
    credential: {command: [vault, read, -field=key, llm/gateway], ttl: 10m}
    headers: {x-team: core, x-session: "{session}", x-second-key: {credential: {keyring: other}}}
    models: {claude-haiku-4-5*: house-small}
    only: [/v1/*]
    proxy: http://proxy.corp.example:3128
timeouts: {connect: 5s, first_byte: 2m, idle: none, drain: 500ms}
limits: {body: 1MiB}
ledger: {keep: none}
log: {level: debug}
"""


def settings(text: str, path: str = "/home/me/config.yaml") -> Settings:
    return parsed(text, path)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parsed(text, "/home/me/config.yaml")
    return list(caught.value.faults)


def test_without_a_file_the_defaults_hold(tmp_path):
    found = load(Places(str(tmp_path), str(tmp_path)))
    assert (found.gateway, found.path, found.host, found.port) == ("anthropic", None, "127.0.0.1", None)
    assert "vercel" in found.gateways
    assert "litellm" not in found.gateways, "it needs a base_url"
    assert found.gateways["vercel"].credential == Secret(
        (Keyring("vercel"), KeyFile("vercel"), Variable("AI_GATEWAY_API_KEY"), Variable("VERCEL_OIDC_TOKEN"))
    )


KEY = "vck_4fA9xQ27LmZp0RtYb1"


@pytest.mark.parametrize(
    "text",
    [
        "gateways: {x: {base_url: 'https://h.example', auth: {header: authorization, scheme: 'Bearer KEY'}}}",
        "gateways: {x: {base_url: 'https://h.example', auth: {header: authorization, scheme: KEY}}}",
        "gateways: {x: {base_url: 'https://h.example', credential: {KEY: null}}}",
        "gateways: {x: {base_url: 'https://h.example', credential: KEY}}",
        "gateways: {x: {base_url: 'https://h.example', credential: {keyring: KEY}}}",
        "gateways: {x: {base_url: 'https://h.example', credential: {command: [curl, -H, 'authorization: Bearer KEY']}}}",
        "gateways: {x: {base_url: 'https://h.example/KEY'}}",
        "gateways: {x: {base_url: 'https://h.example', headers: {KEY: a}}}",
        "gateways: {x: {base_url: 'https://h.example', models: {KEY: a}}}",
        "gateways: {x: {base_url: 'https://h.example', agent_env: {KEY: a}}}",
        "gateways: {KEY: {base_url: 'https://h.example'}}",
        "gateway: KEY",
        "tags: [KEY]",
        "KEY: 1",
        "a: *KEY",
        "a: !KEY b",
        "hosts: [KEY]\nKEY: [",
        "hosts: [KEY]",
        "gateways: {x: {base_url: 'https://h.example', paths: {/KEY: /a}}}",
        "gateways: {x: {base_url: 'https://h.example', paths: {/a: /v1/KEY}}}",
        "gateways: {x: {base_url: 'https://h.example', only: [/KEY]}}",
        "gateways: {x: {base_url: 'https://h.example', agent_env: {A: 'https://h.example/KEY'}}}",
        "gateways: {x: {base_url: 'https://h.example', headers: {a: 'token KEY'}}}",
    ],
)
def test_a_key_in_any_place_is_a_fault_and_not_quoted_back(text):
    with pytest.raises(ConfigError) as caught:
        parsed(text.replace("KEY", KEY), "config.yaml")
    assert KEY not in str(caught.value)
    assert KEY[4:] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "gateways: {x: {base_url: 'https://h.example', auth: {header: KEY}}}",
        "gateways: {x: {base_url: 'https://h.example', headers: {KEY: a}}}",
        "gateways: {x: {base_url: 'https://h.example', headers: {a: KEY}}}",
        "gateways: {x: {base_url: 'https://h.example', agent_env: {KEY: a}}}",
        "gateways: {x: {base_url: 'https://h.example', credential: {keyring: KEY}}}",
        "gateways: {x: {base_url: 'https://h.example', credential: {env: KEY}}}",
        "gateways: {x: {base_url: 'https://h.example', credential: {file: a, key: KEY}}}",
        "KEY: 1",
    ],
)
@pytest.mark.parametrize("key", ["Zk9xQ27LmZp0RtYb1Hc83Wn5sVd2Ej6T", "9f86d081884c7d659a2feaa0c55ad015"])
def test_a_key_that_begins_like_nothing_known_is_no_name(text, key):
    with pytest.raises(ConfigError) as caught:
        parsed(text.replace("KEY", key), "config.yaml")
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dQw4w9WgXcQ_Zk9x", "9f86d081884c7d659a2feaa0c55ad015.Q27LmZp0RtYb1Hc8"]
)
def test_a_key_with_dots_in_it_is_hidden_whole(key):
    (line,) = faults(f"limits:\n  {key}: 1\n")
    assert line == f"config.yaml:2:3: limits.{'.'.join(['•••'] * len(key.split('.')))}: this key is unknown"


@pytest.mark.parametrize("written", ["paths: {/key-management: /basic-auth}", "headers: {a: 'see key-management'}"])
def test_a_word_may_begin_like_a_key(written):
    assert parsed(f"gateways: {{x: {{base_url: 'https://h.example', {written}}}}}", "config.yaml").configured == ("x",)


def test_what_is_told_of_faults_has_its_limits():
    lines = faults("".join(f"x{number}: 1\n" for number in range(150)))
    assert len(lines) == 101
    assert lines[99:] == ["config.yaml:100:1: x99: this key is unknown", "config.yaml: and 50 more faults"]
    (line,) = faults(f"gateway: {'a' * 100_000}")
    assert len(line) < 1100
    assert line.endswith("a…")


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64])
def test_a_host_that_no_resolver_takes_is_a_fault(host):
    (line,) = faults(f"gateways:\n  x:\n    base_url: https://{host}\n")
    assert line == "config.yaml:3:15: gateways.x.base_url: is not a URL"


@pytest.mark.parametrize("listen", ["localhost:4190", "LOCALHOST:4190", "gw.localhost:4190"])
def test_a_loopback_name_may_be_listened_on(listen):
    settings = parsed(f"listen: {listen}", "config.yaml")
    assert (settings.host, settings.port) == ("127.0.0.1", 4190)


@pytest.mark.parametrize("listen", ["myhost:4190", "myhost.example:4190", "localhost.evil:4190"])
def test_no_other_name_may_be(listen):
    with pytest.raises(ConfigError, match="must be an IP address"):
        parsed(f"listen: {listen}\nallow_remote: true", "config.yaml")


def test_a_file_that_is_no_configuration_is_not_read_to_its_end(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"#" * (2 << 20))
    (tmp_path / "config.yaml").chmod(0o600)
    with pytest.raises(ConfigError, match="is larger than 1024 KiB"):
        load(Places(str(tmp_path), str(tmp_path)))


def test_a_gateway_sells_on_its_own_terms_and_one_that_is_gone_at_the_lists_prices():
    text = (
        "gateways: {corp: {base_url: 'https://h.example'}}\nprices: {gateways: {corp: {discount: 10%}}, models: {m: {input: 1, output: 2}}}"
    )
    settings = parsed(text, "config.yaml")
    assert settings.terms("corp").discount
    assert not settings.terms("vercel").discount
    assert not settings.terms("gone").discount
    assert settings.terms("gone").models == settings.terms("corp").models != {}


def test_a_file_whose_name_ends_in_yml_is_named(tmp_path):
    (tmp_path / "config.yml").write_text("gateway: vercel")
    with pytest.raises(ConfigError, match=r"config\.yml: this file is not read, only config\.yaml is") as caught:
        load(Places(str(tmp_path), str(tmp_path)))
    assert caught.value.hint == f"mv {tmp_path}/config.yml {tmp_path}/config.yaml"


@pytest.mark.parametrize("text", ["", "# nothing\n", "gateways:\ntimeouts:\n", "{}", "gateways: {vercel: }"])
def test_an_empty_file_is_the_defaults(text, tmp_path):
    by_default = load(Places(str(tmp_path), str(tmp_path)))
    found = settings(text)
    assert found.gateways == by_default.gateways
    assert (found.timeouts, found.body_limit, found.ledger_keep_seconds) == (Timeouts(), 32 * 1024 * 1024, 365 * 86400)


def test_everything_the_file_says_is_in_force():
    found = settings(CONTRACT)
    assert (found.host, found.port, found.hosts, found.tags) == ("127.0.0.1", 4180, ("host.docker.internal",), ("laptop",))
    assert found.timeouts == Timeouts(connect=5.0, first_byte=120.0, idle=None, drain=0.5)
    assert (found.body_limit, found.ledger_keep_seconds, found.log_level) == (1024 * 1024, None, "debug")

    corp = found.gateways["corp"]
    assert corp.preset is None
    assert corp.base_url == "https://llm.corp.example/anthropic"
    assert corp.auth == Auth("authorization", "Bearer")
    assert corp.credential == Secret((Command(("vault", "read", "-field=key", "llm/gateway"), 600.0),))
    assert corp.headers == (("x-team", "core"), ("x-session", "{session}"), ("x-second-key", Secret((Keyring("other"),))))
    assert (corp.only, corp.proxy, corp.model_form) == (("/v1/*",), "http://proxy.corp.example:3128", None)
    assert corp.model_rules == (ModelRule("claude-haiku-4-5*", "house-small"),)


def test_budgets_are_dollars_or_tokens_of_everything_or_of_a_part():
    lines = "[{per: day, limit: $5.50}, {per: session, limit: 2M tokens, gateway: mine}, {per: week, limit: 1.5k tokens, tag: night}]"
    found = settings(f"gateways: {{mine: {{preset: vercel}}}}\nbudgets: {lines}")
    assert found.budgets == (
        Budget(Per.DAY, Limit(5_500_000_000, Unit.DOLLARS)),
        Budget(Per.SESSION, Limit(2_000_000, Unit.TOKENS), gateway="mine"),
        Budget(Per.WEEK, Limit(1500, Unit.TOKENS), tag="night"),
    )


def test_the_users_entries_go_over_the_presets():
    found = settings(CONTRACT)
    edgee, router, anthropic = (found.gateways[name] for name in ("edgee", "router", "anthropic"))
    assert edgee.headers == (("x-edgee-session-id", "{session}"), ("X-Edgee-Tags", "{tags},more"), ("x-edgee-debug", "true"))
    assert (edgee.beside, edgee.auth) == (True, Auth("x-edgee-api-key"))
    assert (router.preset, router.base_url, router.model_form) == ("therouter", "https://api.therouter.ai", "dotted")
    assert router.paths == {"/v1/messages": "/v1/other/messages"}
    assert router.credential.sources == (Keyring("router"), KeyFile("router"), Variable("THEROUTER_API_KEY"))
    assert anthropic.agent_env["ENABLE_TOOL_SEARCH"] == "false"
    assert anthropic.agent_env["CLAUDE_CODE_SKIP_FAST_MODE_ORG_CHECK"] == "1"


def test_a_file_is_found_beside_the_configuration_and_at_home():
    assert settings(CONTRACT).gateways["anthropic"].credential.sources == (SecretFile("/home/me/keys.env", "ANTHROPIC"),)
    found = settings("gateways: {anthropic: {credential: {file: ~/keys.env}}}")
    assert found.gateways["anthropic"].credential.sources == (SecretFile(os.path.expanduser("~/keys.env")),)


def test_no_models_switches_the_presets_map_and_form_off():
    assert settings("gateways: {vercel: {models: {}}}").gateways["vercel"].model_form is None
    assert settings("gateways: {vercel: {models: {a: b}}}").gateways["vercel"].model_form == "dotted"
    assert settings("gateways: {vercel: {}}").gateways["vercel"].model_form == "dotted"


def test_beside_takes_the_presets_header_or_the_users_own():
    assert settings("gateways: {vercel: {beside: true}}").gateways["vercel"].auth == Auth("x-ai-gateway-api-key", "Bearer")
    own = settings("gateways: {corp: {base_url: https://x.example, beside: true, auth: {header: x-corp-key}}}")
    assert own.gateways["corp"].auth == Auth("x-corp-key")


def test_the_keyring_alone_can_be_named():
    assert settings("gateways: {vercel: {credential: keyring}}").gateways["vercel"].credential.sources == (Keyring("vercel"),)


def test_proxy_and_ca_file_are_everyones_unless_a_gateway_has_its_own(tmp_path):
    (tmp_path / "corp.pem").touch()
    (tmp_path / "own.pem").touch()
    text = "proxy: none\nca_file: corp.pem\ngateways: {vercel: {proxy: env, ca_file: own.pem}}"
    found = parsed(text, str(tmp_path / "config.yaml")).gateways
    assert (found["vercel"].proxy, found["vercel"].ca_file) == ("env", str(tmp_path / "own.pem"))
    assert (found["edgee"].proxy, found["edgee"].ca_file) == ("none", str(tmp_path / "corp.pem"))


def test_every_header_that_carries_a_key_is_dropped_for_every_gateway():
    text = """
gateways:
  a: {base_url: https://a.example, auth: {header: X-A-Key}}
  b: {base_url: https://b.example, headers: {X-Second: {credential: {env: SECOND}}}}
"""
    for gateway in settings(text).gateways.values():
        assert {
            "authorization",
            "x-api-key",
            "x-edgee-api-key",
            "x-ai-gateway-api-key",
            "x-a-key",
            "x-second",
        } <= gateway.credential_headers


def test_the_variables_that_are_read_are_named():
    names = settings("gateways: {vercel: {credential: {env: MINE}, headers: {x-k: {credential: {env: OTHER}}}}}").variables
    assert {"MINE", "OTHER", "EDGEE_API_KEY", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"} <= set(
        names
    )
    assert "AI_GATEWAY_API_KEY" not in names


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("gateway: nope", "1:10: gateway: there is no gateway 'nope'"),
        ("gateway: litellm", "1:10: gateway: there is no gateway 'litellm'"),
        ("gatewey: vercel", "1:1: gatewey: this key is unknown; did you mean gateway?"),
        ("- a", "1:1: the file must be a mapping"),
        ("listen: 0.0.0.0:4180", "1:9: listen: others could reach this address"),
        ("listen: 4180", "1:9: listen: must be an address and a port"),
        ("listen: 127.0.0.1:70000", "1:9: listen: must be an address and a port"),
        ("listen: '::1:80'", "1:9: listen: must be an address and a port"),
        ("hosts: [http://x]", "1:9: hosts.0: must be a host's name"),
        ("tags: laptop", "1:7: tags: must be a list"),
        ("tags: [no]", "1:8: tags.0: YAML reads this as false, not as text: put it in quotes"),
        ("tags: [1:30]", "1:8: tags.0: YAML reads this as a number"),
        ("tags: [2024-01-01]", "1:8: tags.0: YAML reads this as a number or a date"),
        ('tags: ["a\\tb"]', "1:8: tags.0: holds a control character"),
        (f"tags: [{'x' * 257}]", "1:8: tags.0: a tag has at most 256 characters, this one has 257"),
        ("tags: ['a,b']", "1:8: tags.0: a tag holds no comma"),
        ("tags: ['']", "1:8: tags.0: is empty"),
        ("tags:", "1:6: tags: has no value"),
        ("timeouts: {connect: 10}", "1:21: timeouts.connect: must be a duration with its unit"),
        ("timeouts: {connect: 1:30}", "1:21: timeouts.connect: must be a duration with its unit"),
        ("timeouts: {idle: 0s}", "1:18: timeouts.idle: must be more than 0"),
        ("limits: {body: 32MB}", "1:16: limits.body: must be a size with its unit"),
        ("budgets: {per: day, limit: $5}", "1:10: budgets: must be a list"),
        ("budgets: [{limit: $5}]", "1:11: budgets.0.per: is missing"),
        ("budgets: [{per: day}]", "1:11: budgets.0.limit: is missing"),
        ("budgets: [{per: year, limit: $5}]", "1:17: budgets.0.per: must be 'day', 'week', 'month' or 'session'"),
        ("budgets: [{per: day, limit: 5}]", "1:29: budgets.0.limit: must be an amount with its unit, like $5.00, 2M tokens"),
        ("budgets: [{per: day, limit: $5,00}]", "1:32: budgets.0.00: this key is unknown"),
        ("budgets: [{per: day, limit: 2m tokens}]", "1:29: budgets.0.limit: must be an amount"),
        ("budgets: [{per: day, limit: $0.00}]", "1:29: budgets.0.limit: must be more than 0"),
        ("budgets: [{per: day, limit: 0.5 tokens}]", "1:29: budgets.0.limit: must be more than 0"),
        ("budgets: [{per: day, limit: $5, gateway: nope}]", "1:42: budgets.0.gateway: there is no gateway 'nope'"),
        ("budgets: [{per: day, limit: $5, tag: 'a,b'}]", "1:38: budgets.0.tag: a tag holds no comma"),
        ("budgets: [{per: day, limit: $5, gatewey: edgee}]", "1:33: budgets.0.gatewey: this key is unknown; did you mean gateway?"),
        ("log: {levl: info}", "1:7: log.levl: this key is unknown; did you mean level?"),
        ("gateways: {vercel: {gateway: edgee}}", "1:21: gateways.vercel.gateway: this key is unknown"),
        ("log: {level: loud}", "1:14: log.level: must be 'debug', 'info', 'warning' or 'error'"),
        ("allow_remote: maybe", "1:15: allow_remote: must be true or false"),
        ("proxy: ftp://x", "1:8: proxy: must be a URL that begins"),
        ("proxy: http://u:p@x", "1:8: proxy: a URL here has no user or password"),
        ("ca_file: /nowhere/ca.pem", "1:10: ca_file: there is no such file"),
        ("gateways: {a b: {base_url: https://x.example}}", "1:12: gateways.a b: a gateway's name is made of"),
        ("gateways: {x: 3}", "1:15: gateways.x: must be a mapping"),
        ("gateways: {x: {}}", "1:12: gateways.x.base_url: is needed: no preset has this name"),
        ("gateways: {litellm: {}}", "1:12: gateways.litellm.base_url: is needed: where it runs is yours to say"),
        ("gateways: {x: {preset: nope}}", "1:24: gateways.x.preset: there is no such preset"),
        ("gateways: {vercel: {base_url: llm.example}}", "1:31: gateways.vercel.base_url: must be a URL that begins"),
        ("gateways: {vercel: {base_url: 'https://x.example/?a=b'}}", "1:31: gateways.vercel.base_url: a URL here has no query"),
        ("gateways: {vercel: {base_url: 'https://x.example/#a'}}", "1:31: gateways.vercel.base_url: a URL here has no query"),
        ("gateways: {vercel: {base_url: https://me@x.example}}", "1:31: gateways.vercel.base_url: a URL here has no user"),
        ("gateways: {vercel: {base_url: http://x.example}}", "1:31: gateways.vercel.base_url: http:// would send the key in clear"),
        ("gateways: {openrouter: {beside: true}}", "1:33: gateways.openrouter.beside: this gateway has no header"),
        ("gateways: {vercel: {beside: true, auth: {header: X-Api-Key}}}", "1:29: gateways.vercel.beside: the client's own"),
        ("gateways: {vercel: {headers: {x-a: '{sesion}'}}}", "1:36: gateways.vercel.headers.x-a: {sesion} is unknown"),
        ("gateways: {vercel: {headers: {x-a: true}}}", "1:36: gateways.vercel.headers.x-a: YAML reads this as true"),
        ("gateways: {vercel: {headers: {'x a': b}}}", "1:31: gateways.vercel.headers.x a: no header has such a name"),
        ("gateways: {vercel: {headers: {Host: b}}}", "1:31: gateways.vercel.headers.Host: this header is the sidecar's"),
        ("gateways: {vercel: {headers: {x-sidecar-tags: b}}}", "1:31: gateways.vercel.headers.x-sidecar-tags: this header is"),
        ("gateways: {vercel: {headers: {x-a: b, X-A: c}}}", "1:30: gateways.vercel.headers: X-A is given twice"),
        ("gateways: {vercel: {headers: {Authorization: b}}}", "1:30: gateways.vercel.headers: authorization carries the gateway's key"),
        ('gateways: {vercel: {headers: {x-a: "a\\nb"}}}', "1:36: gateways.vercel.headers.x-a: holds a control character"),
        (
            "gateways: {vercel: {headers: {x-a: {credential: {env: A, key: B}}}}}",
            "1:49: gateways.vercel.headers.x-a.credential: key belongs",
        ),
        ("gateways: {vercel: {credential: {}}}", "1:33: gateways.vercel.credential: must name one of"),
        ("gateways: {vercel: {credential: {command: []}}}", "1:43: gateways.vercel.credential.command: is empty"),
        ("gateways: {vercel: {credential: {command: [1]}}}", "1:44: gateways.vercel.credential.command.0: YAML reads this as a number"),
        ("gateways: {vercel: {credential: {env: a-b}}}", "1:39: gateways.vercel.credential.env: must be the name of an env"),
        ("gateways: {vercel: {credential: {env: A, ttl: 1m}}}", "1:33: gateways.vercel.credential: ttl belongs to command"),
        ("gateways: {vercel: {paths: {v1: /x}}}", "1:29: gateways.vercel.paths.v1: must be a path that begins with /"),
        ("gateways: {vercel: {only: ['/v1?x']}}", "1:28: gateways.vercel.only.0: must be a path"),
        ("gateways: {vercel: {agent_env: {A: 1}}}", "1:36: gateways.vercel.agent_env.A: YAML reads this as a number"),
        ("gateways: {vercel: {models: {a: no}}}", "1:33: gateways.vercel.models.a: YAML reads this as false"),
    ],
)
def test_a_fault_is_named_with_its_line_and_column(text, fault):
    (found,) = faults(text)
    assert found.startswith(f"config.yaml:{fault}")


@pytest.mark.parametrize(
    "text",
    [
        "gateways: {vercel: {credential: SECRET}}",
        "gateways: {vercel: {credential: {env: SECRET}}}",
        "gateways: {vercel: {credential: {keyring: SECRET}}}",
        "gateways: {vercel: {credential: {command: [echo, SECRET]}}}",
        "gateways: {vercel: {headers: {x-key: SECRET}}}",
        "gateways: {vercel: {headers: {authorization: Bearer SECRET}}}",
        "gateways: {vercel: {agent_env: {ANTHROPIC_API_KEY: SECRET}}}",
        "gateways: {vercel: {api_key: SECRET}}",
        "gateway: SECRET",
        "tags: [SECRET]",
        "log: {level: SECRET}",
    ],
)
@pytest.mark.parametrize("secret", ["sk-ant-api03-abcdef", "vck_0123456789abcdef"])
def test_a_key_in_the_file_is_a_fault_that_does_not_print_it(text, secret):
    (found, *_) = faults(text.replace("SECRET", secret))
    assert secret not in found


@pytest.mark.parametrize(
    ("value", "is_refused"),
    [
        ("4f9d2c81a7e35b60c1d24e8f9a7b3c5d", True),
        ("AbCdEfGh0123456789IjKlMnOpQrStUv", True),
        ("Bearer abcdefgh", True),
        ("eyJhbGciOiJIUzI1NiJ9.e30.abc", True),
        ("true", False),
        ("core-platform-team", False),
        ("123e4567-e89b-12d3-a456-426614174000", False),
        ("production-agents-of-the-core-team-2024", False),
        ('{"team":"core","session":"{session}"}', False),
        ("https://example.com/a-page", False),
    ],
)
def test_a_literal_header_value_that_looks_like_a_key_is_refused(value, is_refused):
    text = f"gateways: {{vercel: {{headers: {{x-a: '{value}'}}}}}}"
    if is_refused:
        (found,) = faults(text)
        assert "looks like a key" in found
        assert value not in found
    else:
        settings(text)


@pytest.mark.parametrize(
    "text",
    [
        "gateways: {vercel: {base_url: http://x.example, allow_plaintext: true}}",
        "gateways: {x: {base_url: 'http://localhost:1/a/'}}",
        "gateways: {x: {base_url: 'http://127.0.0.9'}}",
        "gateways: {x: {base_url: 'http://[::1]:8080'}}",
        "listen: 0.0.0.0:4180\nallow_remote: true",
        "listen: '[::1]:4180'",
        "listen: localhost:4180",
        "x: &x {tags: [a]}\ngateways: {vercel: *x}".replace("x: &x {tags: [a]}\n", "gateways: {edgee: &x {tags: [a]}, vercel: *x}\n# "),
    ],
)
def test_what_is_allowed_has_no_fault(text):
    settings(text)


def test_every_fault_is_named_at_once_in_the_order_of_the_file():
    text = """\
listen: 0.0.0.0:4180
gateway: nope
tags: [ok, 1]
gateways:
  corp: {base_url: http://llm.example}
  edgee:
    headers: {x-a: "{what}"}
    unknown: 1
timeouts: {connect: soon}
gateway: vercel
"""
    assert [fault.split(":")[1] for fault in faults(text)] == ["1", "2", "3", "5", "7", "8", "9", "10"]


def test_the_configuration_is_read_without_a_library_that_costs_100_milliseconds(tmp_path):
    code = (
        "import sys; from sidecar.config.load import load; from sidecar.launch.places import Places; "
        f"load(Places({str(tmp_path)!r}, {str(tmp_path)!r})); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_file_that_is_not_there_although_it_was_named_is_a_fault(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        load(Places(str(tmp_path), str(tmp_path), config=str(tmp_path / "mine.yaml")))


def written(tmp_path: Path, content: bytes, mode: int = 0o644) -> Places:
    places = Places(str(tmp_path), str(tmp_path))
    Path(places.config_file).write_bytes(content)
    Path(places.config_file).chmod(mode)
    return places


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444])
def test_anyone_may_read_the_file(mode, tmp_path):
    assert load(written(tmp_path, b"gateway: edgee\n", mode)).gateway == "edgee"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(mode, tmp_path):
    places = written(tmp_path, b"gateway: edgee\n", mode)
    with pytest.raises(ConfigError, match="others can write to it") as caught:
        load(places)
    assert caught.value.hint == f"chmod go-w {places.config_file}"


def test_a_file_of_someone_else_is_refused(tmp_path):
    if os.geteuid() == 0:
        places = written(tmp_path, b"gateway: edgee\n")
        os.chown(places.config_file, 65534, -1)
    else:
        places = Places(str(tmp_path), str(tmp_path))
        Path(places.config_file).symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="owned by someone else"):
        load(places)


def test_a_link_is_followed_and_its_target_judged(tmp_path):
    target = tmp_path / "dotfiles.yaml"
    target.write_text("gateway: edgee\n")
    target.chmod(0o644)
    places = Places(str(tmp_path), str(tmp_path))
    Path(places.config_file).symlink_to(target)
    assert load(places).gateway == "edgee"
    target.chmod(0o666)
    with pytest.raises(ConfigError, match="others can write"):
        load(places)


def test_what_is_not_a_file_is_refused_and_not_waited_for(tmp_path):
    places = Places(str(tmp_path), str(tmp_path))
    os.mkfifo(places.config_file)
    with pytest.raises(ConfigError, match="is not a file"):
        load(places)
    Path(places.config_file).unlink()
    Path(places.config_file).mkdir()
    with pytest.raises(ConfigError, match="is not a file"):
        load(places)


def test_bytes_that_are_not_utf_8_are_named_with_their_place(tmp_path):
    with pytest.raises(ConfigError, match=r"config\.yaml:2:8: not UTF-8"):
        load(written(tmp_path, "tags: [é]\n# grün ".encode() + b"\xff\n"))


KEYS = ("listen", "hosts", "gateway", "tags", "gateways", "timeouts", "limits", "ledger", "log", "proxy", "ca_file", "allow_remote")
KEYS += ("vercel", "edgee", "corp", "credential", "headers", "auth", "beside", "base_url", "preset", "models", "agent_env")
SCALARS = st.one_of(
    st.sampled_from([*KEYS, "none", "keyring", "10s", "{session}", "https://x.example", "~x/y", "no", "1:30", "08", "127.0.0.1:1"]),
    st.text(max_size=8),
)
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(KEYS), SCALARS), inner, max_size=4)),
    max_leaves=20,
)


def raises_nothing_else(text: str) -> None:
    try:
        parsed(text, "/home/me/config.yaml")
    except ConfigError as error:
        named = error.faults
    else:
        return
    assert all(fault.startswith("config.yaml:") for fault in named)


@given(TREES)
def test_any_tree_is_settings_or_a_configuration_error(tree):
    raises_nothing_else(json.dumps(tree))


@example("gateways: {vercel: {base_url: 'http://[::1'}}")
@given(st.text())
def test_any_text_is_settings_or_a_configuration_error(text):
    raises_nothing_else(text)


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 1000),
        st.sampled_from(
            [
                "\n",
                "  ",
                ": ",
                "- ",
                "{",
                "}",
                "[",
                "]",
                "&a ",
                "*a",
                "!!python/object:os.system ",
                "'",
                '"',
                "#",
                "\t",
                "null",
                "\x00",
                "é",
            ]
        )
        | st.text(max_size=3),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=3,
)


@given(CHANGES)
def test_a_good_file_with_changes_is_settings_or_a_configuration_error(changes):
    text = CONTRACT
    for where, new, replaced in changes:
        at = len(text) * where // 1000
        text = text[:at] + new + text[at + replaced :]
    raises_nothing_else(text)
