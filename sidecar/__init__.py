"""Sidecar: a reverse proxy on localhost between coding agents and the LLM gateway their owner pays for.

The folders, in the order in which a request meets them:

    cli          the commands; `run` makes a pass and starts the agent
    daemon       the process in the background: state file, lock, start (standard library only)
    server       the listener: guard, own paths, drain
    sessions     who is asking: the pass, the session, where it was started
    config       what is in force: one YAML file, read when it changes
    gateways     where it goes: presets as data, route, header policy
    credentials  with which key: keyring, variable, file, command
    proxy        the story of one request: `proxy/exchange.py`
    wire         bytes and text, no sockets: header fields, targets, JSON splice, SSE, content codings
    metering     the reply's copy -> a `Reading` of its tokens
    pricing      a `Reading` -> nano-dollars
    ledger       one row per request, in SQLite
    budgets      what may be spent, what has been, what is left
    observe      the log, with no secret in it
    demo         a stand-in gateway and the story with no account
"""

__version__ = "0.1.0"
