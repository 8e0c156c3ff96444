"""The schema: created at once in an empty database, upgraded by migrations, checked at every start.

Alembic is imported by `upgrade` alone: it costs more time than everything else that a command does.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from attrs import frozen
from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, text
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from billcore.errors import StoreError
from billcore.store import tables
from billcore.store.database import Database, Transaction

# Every revision of migrations/versions, oldest first.
REVISIONS = ("0001",)
HEAD = REVISIONS[-1]
VERSION_TABLE = "billcore_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"

# Processes that make or upgrade the tables at one moment take turns.
_LOCK = "schema"

# Our tables in a database, on PostgreSQL in the schemas of the search path.
_OURS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 9) = 'billcore_'",
    "postgresql": "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND left(relname, 9) = 'billcore_' "
    "AND pg_table_is_visible(oid)",
}

Status = Literal["current", "missing", "outdated", "newer", "half"]


@frozen
class SchemaState:
    """What stands in a database: `revision` is None where no migration has run.

    "half": the tables do not fit the revision, so a migration was cut short or tables were dropped.
    """

    status: Status
    revision: str | None = None
    lacking: tuple[str, ...] = ()

    @property
    def error(self) -> StoreError | None:
        """Why billcore does not run on it; None when it does."""
        match self.status:
            case "current":
                return None
            case "missing":
                return StoreError(
                    "schema_missing",
                    "The database has no billcore tables.",
                    remedy="Create them: billcore db upgrade.",
                )
            case "outdated":
                return StoreError(
                    "schema_outdated",
                    f"The billcore tables stand at revision {self.revision}, this program needs {HEAD}.",
                    remedy="Make a backup, then run: billcore db upgrade.",
                    revision=self.revision,
                    head=HEAD,
                )
            case "newer":
                return StoreError(
                    "schema_newer",
                    f"The billcore tables stand at revision {self.revision}, this program knows only {HEAD}.",
                    remedy="Use a newer billcore: pip install -U billcore.",
                    revision=self.revision,
                    head=HEAD,
                )
            case "half":
                return StoreError(
                    "schema_newer",
                    f"An upgrade of the billcore tables stopped half-way, or tables were dropped: revision "
                    f"{self.revision or 'unknown'} without {', '.join(self.lacking) or 'a version'}.",
                    remedy="Restore the backup made before the upgrade, then run: billcore db upgrade.",
                    revision=self.revision,
                    head=HEAD,
                )


def check(database: Database) -> SchemaState:
    """Compare the tables in `database` with what this program needs. Reads only."""
    with database.transaction(reads=True) as transaction:
        return state_of(transaction)


def require(database: Database) -> None:
    """Raise StoreError schema_missing, schema_outdated or schema_newer unless the schema is current."""
    error = check(database).error
    if error is not None:
        raise error


def create(database: Database) -> None:
    """Make all tables where there are none of ours, in one transaction; current tables stay as they are.

    Raises StoreError schema_outdated or schema_newer for others: those are for `upgrade`.
    """
    if _is_there(check(database)):
        return
    if database.dialect == "sqlite" and database.unit(_copies_template):
        # Scenarios and tests open many databases in memory: copying pages is far quicker than the DDL.
        with database.raw() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            _template().backup(driver)
        return
    database.unit(_create)


def _is_there(state: SchemaState) -> bool:
    if state.status == "missing":
        return False
    if state.error is not None:
        raise state.error
    return True


def _copies_template(transaction: Transaction) -> bool:
    """Whether a database in memory is empty."""
    file = transaction.one("SELECT file FROM pragma_database_list WHERE name = 'main'")
    return file in {None, ("",), (None,)} and transaction.one("SELECT 1 FROM sqlite_master") is None


def _create(transaction: Transaction) -> None:
    transaction.lock(_LOCK)
    if not _is_there(state_of(transaction)):
        _make(transaction.script, transaction.dialect)


def upgrade(database: Database) -> tuple[str, ...]:
    """Run the migrations that are still due, each in a transaction of its own; returns their revisions.

    Killed at any point, it goes on from the last complete migration when it is called again. Processes that
    upgrade at the same time take turns. Raises StoreError schema_newer where no migration can start.
    """
    done: list[str] = []
    while True:
        with database.transaction() as transaction:
            transaction.lock(_LOCK)
            state = state_of(transaction)
            if state.status == "current":
                return tuple(done)
            if state.error is not None and state.status not in ("missing", "outdated"):
                raise state.error
            step = REVISIONS[REVISIONS.index(state.revision) + 1 if state.revision else 0]
            with database.raw() as connection:
                _migrate(connection, step)
            done.append(step)


def state_of(transaction: Transaction) -> SchemaState:
    """What stands in the database of an open transaction. Reads only."""
    found = {name for (name,) in transaction.rows(_OURS[transaction.dialect])}
    revision: str | None = None
    if VERSION_TABLE in found:
        row = transaction.one(f"SELECT version_num FROM {VERSION_TABLE}")
        revision = row[0] if row is not None else None
    needed = {table.name for table in tables.metadata.sorted_tables}
    lacking = tuple(sorted(needed - found))
    if revision is None:
        return SchemaState("half", None, lacking) if found - {VERSION_TABLE} else SchemaState("missing")
    if revision not in REVISIONS:
        return SchemaState("newer", revision)
    if revision != HEAD:
        return SchemaState("outdated", revision)
    return SchemaState("half", revision, lacking) if lacking else SchemaState("current", revision)


def _make(script: Callable[[Sequence[str]], object], dialect_name: str) -> None:
    script((*_statements(dialect_name), f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{HEAD}')"))


@cache
def _template() -> sqlite3.Connection:
    """An empty database in memory with all tables, to be copied."""
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _make(lambda statements: made.executescript(";".join(statements)), "sqlite")
    return made


@cache
def _statements(dialect_name: str) -> tuple[str, ...]:
    """The DDL of all tables, compiled once."""
    name = "sqlite" if dialect_name == "sqlite" else "postgresql+psycopg"
    dialect = make_url(f"{name}://").get_dialect()()
    made = [str(CreateTable(_version_table(), if_not_exists=True).compile(dialect=dialect)).strip()]
    for table in tables.metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if name != "sqlite" and "where" in index.info:
                index.dialect_options["postgresql"]["where"] = text(index.info["where"])
            made.append(str(CreateIndex(index).compile(dialect=dialect)))
    return tuple(made)


def _version_table() -> Table:
    """Just as alembic makes it."""
    return Table(
        VERSION_TABLE,
        MetaData(),
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
    )


def _migrate(connection: Connection, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic reads options with configparser, to which a % in a path is syntax.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
