"""Billing stories as files: read, run, checked."""
