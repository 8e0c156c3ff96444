"""The laws of the books, each proved over everything that is stored (behaviour 10, 3.6)."""
