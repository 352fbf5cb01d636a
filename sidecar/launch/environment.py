"""The agent's environment: what is set, what is taken away, and why.  Pure.

Measured with Claude Code 2.1: without the host flag a settings file silently wins over the environment; with one of the provider
switches set it never asks its base URL; a non-empty `ANTHROPIC_API_KEY` goes out beside the token.

Standard library only: `sidecar run` imports this file on every start.
"""

from __future__ import annotations

from sidecar.launch.passes import PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sidecar.launch.daemon_state import State

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_OTHER_PROVIDERS = (
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
)
_LOGINS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
_HEADERS = "ANTHROPIC_CUSTOM_HEADERS"
_PASS_HEADER = "x-sidecar-pass"  # noqa: S105 - a header's name


def changes(environ: Mapping[str, str], state: State, gateway: str, base_url: str, pass_text: str) -> dict[str, str | None]:
    """Variable -> new value, None when it is removed, for an agent that starts with `environ`."""
    chosen = state["gateways"][gateway]
    # Only keys of gateways that are in use: of any other vendor's the agent's project may have its own.
    in_use = dict.fromkeys((gateway, state["gateway"], *state["configured"]))
    keys = [name for known in in_use if known in state["gateways"] for name in state["gateways"][known]["remove"]]
    user_lines = [line for line in environ.get(_HEADERS, "").splitlines() if line.partition(":")[0].strip().lower() != _PASS_HEADER]
    changed: dict[str, str | None] = dict.fromkeys((*_OTHER_PROVIDERS, *keys))
    changed |= _added(environ, state, gateway)
    if chosen["beside"]:
        # The client's own login stays, also where another gateway takes its key from the same variable; a pass of another run goes.
        for login in _LOGINS:
            changed.pop(login, None)
            if environ.get(login, "").startswith(PREFIX):
                changed[login] = None
        user_lines.append(f"{_PASS_HEADER}: {pass_text}")
    else:
        changed |= {"ANTHROPIC_AUTH_TOKEN": pass_text, "ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": None}
    if user_lines or _HEADERS in environ:
        changed[_HEADERS] = "\n".join(user_lines) or None
    # Both spellings: clients differ in which they read, and Claude Code prefers the lower case one where they differ.
    direct = _union(environ.get("no_proxy", "").split(","), environ.get("NO_PROXY", "").split(","), _LOOPBACK)
    return changed | {"ANTHROPIC_BASE_URL": base_url, "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST": "1", "NO_PROXY": direct, "no_proxy": direct}


def applied(environ: Mapping[str, str], changed: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**environ, **changed}.items() if value is not None}


def _added(environ: Mapping[str, str], state: State, gateway: str) -> dict[str, str | None]:
    """The gateway's own `agent_env`, except for what the user has set in the shell.

    Inside another run what that run added is inherited, and is nothing the user has set: it goes, unless this gateway adds it.
    """
    inherited = environ.get("ANTHROPIC_AUTH_TOKEN", "").startswith(PREFIX) or PREFIX in environ.get(_HEADERS, "")
    by_others = [item for other in state["gateways"].values() for item in other["agent_env"].items()] if inherited else []
    added: dict[str, str | None] = {name: None for name, value in by_others if environ.get(name) == value}
    for name, value in state["gateways"][gateway]["agent_env"].items():
        if name not in environ or name in added:
            added[name] = value
    return added


def _union(*lists: Iterable[str]) -> str:
    return ",".join(dict.fromkeys(entry.strip() for entries in lists for entry in entries if entry.strip()))
