"""The demo's book of business: where it comes from, its catalog and mapping, and billing it for years."""
