"""Benchmarks that users run on their own machine: the engine against the bare database."""
