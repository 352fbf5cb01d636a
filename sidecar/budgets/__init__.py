"""Budgets: what may be spent, what has been, what is left."""
