"""The database: opens it, guards it, and runs transactions in it. The store has no rules of billing."""

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy import exc as sa
from sqlalchemy.engine import make_url

from billcore.domain.writes import Writes
from billcore.errors import BillcoreError, Refused, StoreError
from billcore.store import sqlite
from billcore.store.mapping import Mapper, Row
from billcore.store.records import MAPPERS
from billcore.store.types import instant_to_text

T = TypeVar("T")
Observer = Callable[[str, Sequence[Row]], None]

COMMIT = "COMMIT"


class Transaction:
    """One unit of work on one connection. Statements use `?`; `IN ??` takes a list of texts.

    `observe`, when given, sees every statement that writes, with its rows, and COMMIT once they are kept: the
    benchmark replays them.
    """

    def __init__(self, driver: sqlite3.Connection, observe: Observer | None = None) -> None:
        self._driver = driver
        self._observe = observe

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run a query and return its rows as the database has them."""
        return self._driver.execute(expanded(sql), [_bind(value) for value in parameters]).fetchall()

    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """Run a query and yield its rows one by one, for reading more than memory holds."""
        yield from self._driver.execute(expanded(sql), [_bind(value) for value in parameters])

    def one(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        found: Row | None = self._driver.execute(expanded(sql), [_bind(value) for value in parameters]).fetchone()
        return found

    def due(
        self,
        table: str,
        column: str,
        until: datetime,
        limit: int,
        customers: Collection[str] | None = None,
        condition: str = "",
    ) -> list[Row]:
        """(instant, customer id, id) of rows whose `column` has come by `until`, earliest first, by its index."""
        where = f"{column} IS NOT NULL AND {column} <= ?" + (f" AND {condition}" if condition else "")
        parameters: list[object] = [until]
        if customers is not None:
            where += " AND customer_id IN ??"
            parameters.append(customers)
        return self.rows(
            f"SELECT {column}, customer_id, id FROM {table} WHERE {where} ORDER BY {column}, customer_id, id LIMIT ?",
            [*parameters, limit],
        )

    def lock_customers(self, ids: Iterable[str], *, skip: bool = False) -> list[str]:  # noqa: ARG002  nobody else writes
        """Keep these customers to this transaction until its end; with `skip` without those another one keeps.

        Whoever writes what belongs to a customer keeps him first and reads after that. Returns the ids that are
        kept, in order. SQLite has one writer: all of them.
        """
        return sorted(set(ids))

    def lock(self, name: str) -> None:
        """Keep a name to this transaction until its end; others wait for it. SQLite has one writer anyway."""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one writing statement; returns the number of rows it touched."""
        row = tuple([_bind(value) for value in parameters])
        if self._observe is not None:
            self._observe(sql, [row])
        return self._driver.execute(expanded(sql), row).rowcount

    def execute_many(self, sql: str, rows: Sequence[Row]) -> int:
        """Run one writing statement for many rows; returns how many it touched."""
        if not rows:
            return 0
        if self._observe is not None:
            self._observe(sql, rows)
        return self._driver.executemany(sql, rows).rowcount

    def save(self, writes: Writes) -> None:
        """Insert and update everything collected, in an order that the foreign keys allow.

        Raises StoreError version_conflict when a row is not as it was read any more.
        """
        for mapper in MAPPERS:
            new = writes.new(mapper.record)
            if new:
                self.execute_many(mapper.insert, mapper.rows(new))
            changed = writes.changed(mapper.record)
            if changed:
                self._update(mapper, changed)

    def _update(self, mapper: Mapper, records: Sequence[object]) -> None:
        touched = self.execute_many(mapper.update, mapper.update_rows(records))
        if touched != len(records):
            raise StoreError(
                "version_conflict",
                f"{len(records) - touched} of {len(records)} rows of {mapper.table.name} changed meanwhile.",
                remedy="Read them again and repeat the command.",
            )


class Database:
    """One database, opened by `url`. One transaction at a time; any thread may ask for one.

    SQLite has one writer anyway: the connection is kept open and handed from thread to thread under a lock.
    """

    def __init__(self, url: str, *, engine: Engine | None = None) -> None:
        self.url = url
        self.engine = engine or _engine(url)
        self.observe: Observer | None = None
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._inode: tuple[int, int] | None = None
        self.path = sqlite.file_of(url) if self.engine.dialect.name == "sqlite" else None

    @contextmanager
    def transaction(self, *, reads: bool = False) -> Iterator[Transaction]:
        """A transaction that commits at the end, or rolls back when anything is raised."""
        with self._lock, _translated(self.url):
            connection = self._open()
            self._check_file()
            with connection.execution_options(**{sqlite.READ_ONLY_OPTION: reads}).begin():
                driver = connection.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                yield Transaction(driver, self.observe)
            if self.observe is not None and not reads:
                self.observe(COMMIT, ())

    def unit(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, done in a writing transaction and committed.

        Where the database asks for it (a deadlock, a serialization failure, a lost connection) all of it is done
        again from the start, so `work` keeps what it finds to itself until it returns, and calls no plugin.
        """
        with self.transaction() as tx:
            return work(tx)

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """The SQLAlchemy connection, for migrations: inside `transaction()` in that, else in none."""
        with self._lock, _translated(self.url):
            yield self._open()

    def close(self) -> None:
        """Close the connection; the database can be opened again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self.engine.dispose()

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self.engine.connect()
            self._inode = _inode(self.path) if self.path is not None else None
        return self._connection

    def _check_file(self) -> None:
        """A file that was replaced or removed under us would take writes that nobody sees again."""
        if self.path is not None and _inode(self.path) != self._inode:
            raise StoreError(
                "database_replaced",
                f"The database file {self.path} was removed or replaced while it was open.",
                remedy="Nothing was written. Open the store again, on the file that is meant.",
            )


class JoinedDatabase(Database):
    """The host's own connection: no transaction is begun or ended here (design: embedding)."""

    def __init__(self, connection: Connection) -> None:
        self.url = str(connection.engine.url)
        self.engine = connection.engine
        self.observe = None
        self.path = None
        self._host = connection
        _check_host(connection)

    @contextmanager
    def transaction(self, *, reads: bool = False) -> Iterator[Transaction]:  # noqa: ARG002  # the host began it
        """A part of the host's transaction: what is refused or only tried out leaves nothing in it."""
        _check_host(self._host)
        driver = self._host.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        with _translated(self.url):
            driver.execute("SAVEPOINT billcore_joined")
            try:
                yield Transaction(driver)
            except BaseException:
                if driver.in_transaction:  # A full disk takes the whole transaction with it.
                    driver.execute("ROLLBACK TO billcore_joined")
                    driver.execute("RELEASE billcore_joined")
                raise
            driver.execute("RELEASE billcore_joined")

    def close(self) -> None:
        """Nothing: the connection is the host's."""


def _engine(url: str) -> Engine:
    try:
        name = make_url(url).get_backend_name()
    except sa.ArgumentError as error:
        raise StoreError(
            "database_unreachable",
            f"{url!r} is not a database URL.",
            remedy='Write it like "sqlite:///billing.db".',
        ) from error
    if name != "sqlite":
        raise StoreError(
            "database_unreachable",
            f"billcore {name} stores are not supported.",
            remedy='Use a SQLite file: "sqlite:///billing.db".',
        )
    return sqlite.sqlite_engine(url)


def _check_host(connection: Connection) -> None:
    recipe = "Take connections from billcore.sqlite_engine(url) and join inside `with engine.begin() as connection`."
    if connection.closed:
        raise Refused("join_refused", "The connection is closed.", remedy=recipe)
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise Refused("join_refused", "Only SQLite connections can be joined.", remedy=recipe)
    if driver.isolation_level is not None:
        raise Refused(
            "join_refused",
            "This connection begins its transaction late: the driver's own transaction control is on.",
            remedy=recipe,
        )
    if not driver.in_transaction:
        raise Refused("join_refused", "No transaction is open on this connection.", remedy=recipe)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _bind(value: object) -> object:
    if isinstance(value, datetime):
        return instant_to_text(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return json.dumps(list(value))
    return value


def expanded(sql: str) -> str:
    """A statement as SQLite takes it: `IN ??` reads a JSON list."""
    return sql.replace("IN ??", "IN (SELECT value FROM json_each(?))") if "??" in sql else sql


_MEANINGS = (
    ("readonly", "database_read_only", "Give this user write access to the file and its folder."),
    ("locked", "database_locked", "Another process is writing; end it or try again."),
    ("busy", "database_locked", "Another process is writing; end it or try again."),
    ("disk is full", "database_full", "Free space on the disk; nothing was written."),
    ("no such table", "schema_missing", "Create the schema: billcore db upgrade."),
    ("unable to open", "database_unreachable", "Check that the folder exists and is readable."),
    ("not a database", "database_unreachable", "The file is not a SQLite database; name another one."),
    ("malformed", "database_unreachable", "The file is damaged; restore a backup."),
)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the driver's operational errors into ours, with the remedy; programming errors stay what they are."""
    try:
        yield
    except BillcoreError:
        raise
    except (sqlite3.OperationalError, sqlite3.DatabaseError, sa.DBAPIError) as error:
        text = str(getattr(error, "orig", None) or error)
        for part, code, remedy in _MEANINGS:
            if part in text:
                raise StoreError(code, f"The database {url} cannot be used: {text}.", remedy=remedy) from error
        raise
