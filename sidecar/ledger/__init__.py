"""The ledger: one row per request, in SQLite.

The daemon writes it through `writer.Ledger`, in one thread.  Commands read it through `reports`, `story` and `export`, with the daemon up
or down.  It knows no configuration and no network; texts from the wire reach it redacted and cut.
"""
