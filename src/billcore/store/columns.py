"""The columns and indexes that tables are made of, and the rule that names their constraints."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, MetaData, text

from billcore.store.types import PlainText

# The names PostgreSQL gives by itself, given on SQLite too: every constraint then begins with `billcore_`.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    }
)


def key(name: str, target: str, *, nullable: bool = False) -> Column[str]:
    """The id of a row in `billcore_{target}`."""
    return Column(name, PlainText, ForeignKey(f"billcore_{target}.id"), nullable=nullable)


def string(name: str, *, nullable: bool = True) -> Column[str]:
    """A text."""
    return Column(name, PlainText, nullable=nullable)


def amount(name: str) -> Column[int]:
    """Money in minor units of the row's currency."""
    return Column(name, BigInteger, nullable=False)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows for which `where` holds; `schema` says so to PostgreSQL, in its dialect's own words.

    Named here, it would load all that SQLAlchemy knows of PostgreSQL for a command that opens a file.
    """
    return Index(name, *columns, unique=unique, sqlite_where=text(where), info={"where": where})
