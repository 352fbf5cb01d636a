"""A reply's copy becomes a reading of what it cost in tokens."""
