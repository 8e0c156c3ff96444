"""How migrations say tables in few words. Issued migrations lean on this module, so it may only grow."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine


def table(name: str, *parts: sa.schema.SchemaItem, key: tuple[str, ...] = ("id",)) -> None:
    """Create `billcore_{name}` with its primary key."""
    name = f"billcore_{name}"
    op.create_table(name, *parts, sa.PrimaryKeyConstraint(*key, name=f"{name}_pkey"))


def required(kind: TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    """Columns that always have a value."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def optional(kind: TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    """Columns that may be null."""
    return [sa.Column(name, kind) for name in names]


def reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    """The rule that `column` holds an id of `billcore_{target}`."""
    name = f"billcore_{table}_{column}_fkey"
    return sa.ForeignKeyConstraint([column], [f"billcore_{target}.id"], name=name)


def index(
    table: str,
    name: str,
    *columns: str,
    where: str | None = None,
    unique: bool = False,
) -> None:
    """Create `billcore_{table}_{name}`."""
    op.create_index(
        f"billcore_{table}_{name}",
        f"billcore_{table}",
        list(columns),
        unique=unique,
        sqlite_where=None if where is None else sa.text(where),
        postgresql_where=None if where is None else sa.text(where),
    )
