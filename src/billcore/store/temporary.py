"""PostgreSQL databases for a while: made beside one whose URL is known, emptied between uses, dropped at the end."""

from typing import Self

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from billcore.errors import StoreError
from billcore.store import schema, tables
from billcore.store.database import Database

PREFIX = "billcore_temporary_"


def conninfo(url: str | URL) -> str:
    """A database's URL as psycopg itself takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def bare(url: str | URL) -> psycopg.Connection:
    """A connection with nothing of ours around it; it prepares nothing, as the store's own."""
    return psycopg.connect(conninfo(url), autocommit=True, prepare_threshold=None)


class TemporaryDatabases:
    """Makes databases on the server of `url` and drops them when it is closed; the named one is left as it is.

    What a killed process left behind is dropped by the next one: each keeps a lock in the named database while it
    lives. Raises StoreError where the server does not answer or its user may not create databases.
    """

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        self._url = make_url(url)
        self._made = 0
        try:
            self._connection = psycopg.connect(conninfo(url), autocommit=True)
        except psycopg.OperationalError as error:
            raise StoreError(
                "database_unreachable",
                f"The database {self._url.render_as_string()} does not answer: {_first_line(error)}.",
                remedy="Check its address, and whether the server runs.",
            ) from error
        # Locks are a database's own: those who were told another one cannot see ours, nor may we drop theirs.
        row = self._connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        assert row is not None
        self._prefix = f"{prefix}{row[0]}_"
        # No two connections of a server have the same number at one time; what has it already is left over.
        self._name = f"{self._prefix}{self._connection.info.backend_pid}"
        self._keep(self._name)
        self._drop_all(self._name)
        self._sweep()

    def make(self, *, schema_too: bool = True) -> str:
        """The URL of a new database, with all tables and no rows."""
        self._made += 1
        name = f"{self._name}_{self._made}"
        # template0 has no connections that could forbid the copy, and nothing of this site in it.
        self._run("CREATE DATABASE {} TEMPLATE template0", name)
        url = self._url.set(database=name).render_as_string(hide_password=False)
        if schema_too:
            made = Database(url)
            try:
                schema.create(made)
            finally:
                made.close()
        return url

    def copy(self, url: str) -> str:
        """The URL of a new database with the content of another one, which nobody uses meanwhile."""
        self._made += 1
        name = f"{self._name}_{self._made}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, make_url(url).database or "")
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop one of them, whoever uses it."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", make_url(url).database or "")

    def close(self) -> None:
        """Drop all of them."""
        with self._connection:
            self._drop_all(self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, statement: str, *names: str) -> None:
        try:
            self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise StoreError(
                "database_read_only",
                f"The user of {self._url.render_as_string()} may not create databases.",
                remedy="Name one who may: ALTER ROLE … CREATEDB.",
            ) from error

    def _keep(self, name: str) -> bool:
        """Whether the lock of a process is ours: it is free when that process has ended."""
        row = self._connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()
        return row is not None and bool(row[0])

    def _named(self, start: str) -> list[str]:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        return [row[0] for row in self._connection.execute(query, [start])]

    def _sweep(self) -> None:
        for owner in {name.rpartition("_")[0] for name in self._named(self._prefix)} - {self._name}:
            if self._keep(owner):
                self._drop_all(owner)

    def _drop_all(self, owner: str) -> None:
        for name in self._named(f"{owner}_"):
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def empty(url: str) -> None:
    """Delete every row of ours from a temporary database."""
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(EMPTYING)


EMPTYING = "; ".join(f"DELETE FROM {table.name}" for table in reversed(tables.metadata.sorted_tables)).encode()
"""All tables in one round trip, those that refer to others first; TRUNCATE takes ten times as long on empty ones."""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
