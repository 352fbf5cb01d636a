"""The ledger: one row per request, in SQLite."""
