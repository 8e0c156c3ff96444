"""The command line, derived from the verbs."""
