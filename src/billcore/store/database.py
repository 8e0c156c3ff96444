"""The database: opens it, guards it, and runs transactions in it. The store has no rules of billing."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy import exc as sa
from sqlalchemy.engine import make_url

from billcore.errors import BillcoreError, StoreError
from billcore.store.joined import joint
from billcore.store.sqlite import SqliteStore
from billcore.store.transaction import COMMIT, Observer, Transaction

__all__ = ["COMMIT", "Database", "JoinedDatabase", "Observer", "Transaction"]

T = TypeVar("T")


class Store(Protocol):
    """What a kind of database is to `Database`. `meaning` says (code, remedy) of an error, None for a mistake."""

    @property
    def url(self) -> str:
        """Where it is."""

    @property
    def dialect(self) -> str:
        """Either "sqlite" or "postgresql"."""

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's side of it, for the schema."""

    @property
    def path(self) -> str | None:
        """The file, where there is one."""

    def transaction(self, *, reads: bool, observe: Observer | None) -> AbstractContextManager[Transaction]:
        """A transaction that commits at the end, or rolls back when anything is raised."""

    def unit(self, work: Callable[[Transaction], T], *, reads: bool, observe: Observer | None) -> T:
        """`work` in a transaction, again where the database asks for it."""

    def raw(self) -> AbstractContextManager[Connection]:
        """The SQLAlchemy connection of this thread's transaction, else one without a transaction."""

    def meaning(self, error: Exception, /) -> tuple[str, str] | None:
        """What an error says about the state of the database."""

    def close(self) -> None:
        """Close what is open."""


class Database:
    """One database, opened by `url`: sqlite:///billing.db, or postgresql://user@host/name through psycopg 3.

    Any thread may ask for transactions, each for one at a time. SQLite has one writer, so its transactions take
    turns; PostgreSQL's stand side by side.
    """

    def __init__(self, url: str, *, engine: Engine | None = None) -> None:
        self.observe: Observer | None = None
        self._thread = threading.local()
        self._store = _store(url, engine)

    @property
    def url(self) -> str:
        """As it was given, with its password if it has one: for messages there is `shown`."""
        return self._store.url

    @property
    def dialect(self) -> str:
        """Either "sqlite" or "postgresql"."""
        return self._store.dialect

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's side of it, for the schema."""
        return self._store.engine

    @property
    def path(self) -> str | None:
        """The file, where there is one."""
        return self._store.path

    @contextmanager
    def transaction(self, *, reads: bool = False) -> Iterator[Transaction]:
        """A transaction that commits at the end, or rolls back when anything is raised. `unit` is better to write."""
        with self._alone(), self._translated(), self._store.transaction(reads=reads, observe=self.observe) as tx:
            yield tx

    def unit(self, work: Callable[[Transaction], T], *, reads: bool = False) -> T:
        """What `work` returns, done in a transaction and committed.

        Where the database asks for it (a deadlock, a serialization failure, a lost connection) all of it is done
        again from the start, so `work` keeps what it finds to itself until it returns, and calls no plugin. Raises
        StoreError commit_unknown where the answer to a COMMIT was lost and nobody can say what it was.
        """
        with self._alone(), self._translated():
            return self._store.unit(work, reads=reads, observe=self.observe)

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """The SQLAlchemy connection, for migrations: inside `transaction()` in that, else in none."""
        with self._translated(), self._store.raw() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; the database can be opened again."""
        self._store.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A second transaction of one thread would wait for the first without end, or not see what it wrote."""
        if getattr(self._thread, "busy", False):
            raise StoreError(
                "internal",
                "This thread has a transaction open already, and a second one was asked for inside it.",
                remedy="End the first one before the next command; plugins call no commands while they are asked.",
            )
        self._thread.busy = True
        try:
            yield
        finally:
            self._thread.busy = False

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's operational errors into ours, with the remedy; wrong statements stay what they are."""
        try:
            yield
        except BillcoreError:
            raise
        except Exception as error:
            found = self._store.meaning(error)
            if found is None:
                raise
            code, remedy = found
            raise StoreError(
                code, f"The database {shown(self.url)} cannot be used: {_words(error)}.", remedy=remedy
            ) from error


class JoinedDatabase(Database):
    """The host's own connection, SQLAlchemy's or psycopg's: no transaction is begun or ended here (design: embedding).

    Raises Refused join_refused where no real transaction is open on it.
    """

    def __init__(self, connection: object) -> None:
        self.observe = None
        self._store = joint(connection)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Parts of the host's transaction may stand in each other: each is a savepoint."""
        yield


def shown(url: str) -> str:
    """A URL without its password, for messages."""
    without = re.sub(r"(://[^:/@?]*):[^?]*@", r"\1:***@", url)
    return re.sub(r"([?&][^=&]*password=)[^&]*", r"\1***", without)


def _store(url: str, engine: Engine | None) -> Store:
    try:
        name = make_url(url).drivername
    except (sa.ArgumentError, ValueError):
        raise StoreError(
            "database_unreachable",
            f"{shown(url)!r} is not a database URL.",
            remedy='Write it like "sqlite:///billing.db" or "postgresql://user@host/name".',
        ) from None
    if name == "sqlite" or name.startswith("sqlite+"):
        return SqliteStore(url, engine)
    if name not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise StoreError(
            "database_unreachable",
            f"billcore {name} stores are not supported.",
            remedy='Use a SQLite file, "sqlite:///billing.db", or PostgreSQL, "postgresql://user@host/name".',
        )
    try:
        from billcore.store.postgresql import PostgresqlStore, postgresql_engine
    except ImportError as error:
        raise StoreError(
            "database_unreachable",
            f"PostgreSQL needs the driver psycopg 3: {error}.",
            remedy='Install it: pip install "billcore[postgres]".',
        ) from error
    return PostgresqlStore(url, engine or postgresql_engine(url))


def _words(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error)
    return " ".join(text.split())
