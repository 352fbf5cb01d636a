"""Bytes and text, nothing else: no socket, file, clock or log is touched here."""
