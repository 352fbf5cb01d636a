"""Tokens become money."""
