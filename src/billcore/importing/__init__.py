"""Import of customers from other systems: a CSV file and a mapping of its columns."""
