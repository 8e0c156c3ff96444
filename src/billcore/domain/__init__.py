"""The rules of billing as pure functions and frozen values: no I/O, no clock, no randomness."""
