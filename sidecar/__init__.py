"""Sidecar: a reverse proxy on localhost between coding agents and the LLM gateway their owner pays for.

The folders, in the order in which a request meets them:

    launch       the fast start: `run` makes a pass and becomes the agent; the daemon's state file, lock and start (standard library only)
    cli          all other commands: running, reports, setup
    server       the listener: guard, own paths, drain
    sessions     who is asking: the session, as pass, headers and body say
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
