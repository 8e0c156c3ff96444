"""Deriving the amounts of a line again from its basis, step by step (behaviour 3.7)."""
