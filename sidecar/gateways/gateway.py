"""A gateway as the rest of the sidecar sees it: one preset merged with what the user's file says.  Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from sidecar.pricing.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Keyring:
    """The entry `name` of the operating system's keyring."""

    name: str


@dataclass(frozen=True, slots=True)
class KeyFile:
    """`keys/<name>` in the sidecar's home, written by `sidecar login --file`."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable of the shell that started the sidecar or the agent.  Empty counts as not set."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file of the user's: its first line, or with `key` the value of that name in a dotenv file.  Re-read when it changes."""

    path: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A program that prints the secret as the first line of its stdout.  No shell.  `ttl_seconds` None: until forgotten."""

    argv: tuple[str, ...]
    ttl_seconds: float | None = None


Source = Keyring | KeyFile | Variable | SecretFile | Command


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret comes from: the first source that has it wins."""

    sources: tuple[Source, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.sources))

    def __hash__(self) -> int:
        """Found once: the vault looks a secret up for every request, and sources are nested."""
        return self._hash


@dataclass(frozen=True, slots=True)
class Auth:
    """The header that carries the gateway's key; `scheme` is put before it with a space, unless empty."""

    header: str
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class ModelRule:
    """`pattern` (exact or glob) of the client's model id -> the gateway's `model` id, taken literally."""

    pattern: str
    model: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything needed to send a request to one gateway.

    `base_url` has no trailing slash, no query and no user part.  `headers` are set in order, the value a template
    (`{session}`, `{tags}`, `{project}`, `{repo}`, `{branch}`, `{user}`, `{gateway}`) or a `Secret`.  `model_rules` are tried in
    order, the user's before the preset's; then `model_form` (`dotted`, `at_date` or None) applies.  `paths` maps exact paths.
    `only` are globs of paths that may be asked for; empty means all.  `proxy` is `env`, `none` or a URL.  `credential_headers`
    are all headers that carry a key for any known gateway, lower case: dropped from what the client sent.  `terms` say what it charges.
    """

    name: str
    preset: str | None
    base_url: str
    auth: Auth
    credential: Secret
    beside: bool = False
    headers: tuple[tuple[str, str | Secret], ...] = ()
    tags: tuple[str, ...] = ()
    paths: Mapping[str, str] | None = None
    model_rules: tuple[ModelRule, ...] = ()
    model_form: str | None = None
    only: tuple[str, ...] = ()
    agent_env: Mapping[str, str] | None = None
    proxy: str = "env"
    ca_file: str | None = None
    credential_headers: frozenset[str] = frozenset()
    terms: Terms = field(default_factory=Terms)

    @property
    def origin(self) -> str:
        """Scheme, host and port of `base_url`, what a stored key is bound to: `https://api.anthropic.com:443`."""
        return _origin(self.base_url)


@lru_cache
def _origin(base_url: str) -> str:
    scheme, _, rest = base_url.partition("://")
    authority = rest.partition("/")[0].lower()
    has_port = ":" in authority.rpartition("]")[2]
    default = {"https": "443", "http": "80"}.get(scheme.lower(), "")
    return f"{scheme.lower()}://{authority}" + ("" if has_port else f":{default}")
