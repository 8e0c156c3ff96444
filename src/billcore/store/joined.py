"""The host's own connection: commands as parts of its transaction, each in a savepoint (design: embedding)."""

import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine

from billcore.errors import Refused
from billcore.store.sqlite import SqliteStore, SqliteTransaction
from billcore.store.transaction import Observer, Transaction

if TYPE_CHECKING:
    from billcore.store.wire import Driver

T = TypeVar("T")

SQLITE_RECIPE = "Take connections from billcore.sqlite_engine(url) and join inside `with engine.begin() as connection`."
POSTGRESQL_RECIPE = (
    "Join inside `with engine.begin() as connection` of an SQLAlchemy engine postgresql+psycopg://, "
    "or inside `with connection.transaction()` of a psycopg 3 connection."
)


class Joint(ABC):
    """A connection that is the host's; it stands where `Database` has a store of its own."""

    path = None
    dialect: str
    url: str

    def __init__(self, host: object) -> None:
        self.host = host
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Raise Refused join_refused unless a transaction is open that commands can be part of."""

    @abstractmethod
    def part(self) -> Transaction:
        """The host's transaction as ours."""

    @abstractmethod
    def run(self, statement: str) -> None:
        """Run a statement about savepoints."""

    @abstractmethod
    def is_open(self) -> bool:
        """Whether there still is a transaction; a full disk or a lost connection takes it with them."""

    @abstractmethod
    def meaning(self, error: Exception, /) -> tuple[str, str] | None:
        """What an error says about the state of the database."""

    @property
    def engine(self) -> Engine:
        """The engine that the connection comes from."""
        assert isinstance(self.host, Connection)
        return self.host.engine

    @contextmanager
    def transaction(self, *, reads: bool, observe: Observer | None) -> Iterator[Transaction]:  # noqa: ARG002  the host began it
        """A part of the host's transaction: what is refused or only tried out leaves nothing in it."""
        self.check()
        self.run("SAVEPOINT billcore_joined")
        try:
            yield self.part()
        except BaseException:
            if self.is_open():
                self.run("ROLLBACK TO SAVEPOINT billcore_joined")
                self.run("RELEASE SAVEPOINT billcore_joined")
            raise
        self.run("RELEASE SAVEPOINT billcore_joined")

    def unit(self, work: Callable[[Transaction], T], *, reads: bool, observe: Observer | None) -> T:
        """What `work` returns, once: only the host can begin his transaction again."""
        with self.transaction(reads=reads, observe=observe) as tx:
            return work(tx)

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """The host's connection."""
        assert isinstance(self.host, Connection)
        yield self.host

    def close(self) -> None:  # noqa: B027  the same for all
        """Nothing: the connection is the host's."""


class SqliteJoint(Joint):
    """A connection of an engine made by `sqlite_engine`."""

    dialect = "sqlite"
    meaning = staticmethod(SqliteStore.meaning)

    def __init__(self, host: Connection) -> None:
        self._connection = host
        self.url = str(host.engine.url)
        super().__init__(host)

    def check(self) -> None:
        """Raise Refused join_refused unless a transaction is open that commands can be part of."""
        if self._connection.closed:
            raise _refused("The connection is closed.", SQLITE_RECIPE)
        driver = self._connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise _refused("Only SQLite connections can be joined.", SQLITE_RECIPE)
        if driver.isolation_level is not None:
            raise _refused(
                "This connection begins its transaction late: the driver's own transaction control is on.",
                SQLITE_RECIPE,
            )
        if not driver.in_transaction:
            raise _refused("No transaction is open on this connection.", SQLITE_RECIPE)

    def part(self) -> Transaction:
        """The host's transaction as ours."""
        return SqliteTransaction(self._driver)

    def run(self, statement: str) -> None:
        """Run a statement about savepoints."""
        self._driver.execute(statement)

    def is_open(self) -> bool:
        """Whether there still is a transaction."""
        return self._driver.in_transaction

    @property
    def _driver(self) -> sqlite3.Connection:
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver


class PostgresqlJoint(Joint):
    """A psycopg connection, bare or SQLAlchemy's. Its adapters, row factory and settings stay as they are."""

    dialect = "postgresql"

    def __init__(self, host: "Connection | Driver") -> None:
        from billcore.store.patience import meaning

        self._meaning = meaning
        if isinstance(host, Connection):
            self.url = str(host.engine.url)
        else:
            info = host.info
            self.url = "postgresql://" if host.closed else f"postgresql://{info.user}@{info.host}/{info.dbname}"
        super().__init__(host)

    def meaning(self, error: Exception, /) -> tuple[str, str] | None:
        """What an error says about the state of the database."""
        return self._meaning(error)

    def check(self) -> None:
        """Raise Refused join_refused unless a transaction is open that commands can be part of."""
        from psycopg.pq import TransactionStatus

        host: Any = self.host
        if host.closed:
            raise _refused("The connection is closed.", POSTGRESQL_RECIPE)
        driver = self._driver
        status = driver.info.transaction_status
        if status == TransactionStatus.INERROR:
            raise _refused(
                "The transaction on this connection has failed and can only be rolled back.", POSTGRESQL_RECIPE
            )
        if status == TransactionStatus.ACTIVE:
            raise _refused("This connection is busy with another statement or a pipeline.", POSTGRESQL_RECIPE)
        # The driver begins SQLAlchemy's transaction with its first statement, which may be ours.
        begun = isinstance(host, Connection) and host.in_transaction() and not driver.autocommit
        if status != TransactionStatus.INTRANS and not begun:
            raise _refused("No transaction is open on this connection.", POSTGRESQL_RECIPE)

    def part(self) -> Transaction:
        """The host's transaction as ours."""
        from billcore.store.postgresql_transaction import PostgresqlTransaction

        return PostgresqlTransaction(self._driver)

    def run(self, statement: str) -> None:
        """Run a statement about savepoints."""
        from billcore.store.wire import StoreCursor

        with StoreCursor(self._driver) as cursor:
            cursor.execute(statement, prepare=False)

    def is_open(self) -> bool:
        """Whether there still is a transaction."""
        from psycopg.pq import TransactionStatus

        return self._driver.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    @property
    def _driver(self) -> "Driver":
        import psycopg

        found = self.host
        if isinstance(found, Connection):
            found = found.connection.driver_connection
        assert isinstance(found, psycopg.Connection)
        return found


def joint(connection: object) -> Joint:
    """The host's connection as a store; raises Refused join_refused for one that commands cannot be part of."""
    recipe = f"{SQLITE_RECIPE} {POSTGRESQL_RECIPE}"
    if isinstance(connection, Connection):
        if connection.dialect.name == "sqlite":
            return SqliteJoint(connection)
        if (connection.dialect.name, connection.dialect.driver) == ("postgresql", "psycopg"):
            return PostgresqlJoint(connection)
        raise _refused(
            f"Connections of {connection.dialect.name} through {connection.dialect.driver} cannot be joined.", recipe
        )
    # A host that has a psycopg connection has imported psycopg.
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None and isinstance(connection, psycopg.Connection):
        return PostgresqlJoint(connection)
    raise _refused(f"A {type(connection).__name__} is no connection that can be joined.", recipe)


def _refused(message: str, recipe: str) -> Refused:
    return Refused("join_refused", message, remedy=recipe)
