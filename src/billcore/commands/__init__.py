"""The verbs: one typed method each, loaded, decided and saved."""
