"""A billing engine that lives inside your own Python process and database."""
