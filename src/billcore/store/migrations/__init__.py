"""Alembic's folder: env.py and one file per revision; `billcore.store.schema` runs them."""
