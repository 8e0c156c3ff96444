"""The only place that speaks SQL: tables, batch load and save, migrations."""


def include_object(item: object, name: str | None, *_: object) -> bool:
    """Keep a host's alembic away from our tables: for `context.configure(include_object=...)` in its env.py.

    False for everything named billcore_ and for what belongs to such a table. A host with a rule of its own
    asks both: `include_object(...) and billcore.store.include_object(...)`.
    """
    table = getattr(getattr(item, "table", None), "name", None)
    return not any(str(found or "").startswith("billcore_") for found in (name, table))
