"""SQLite: WAL, synchronous FULL, foreign keys, BEGIN IMMEDIATE (promise P4); one connection, one writer."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import Pool, StaticPool

from billcore.errors import StoreError
from billcore.store.mapping import Mapper, Row
from billcore.store.transaction import COMMIT, Observer, Transaction
from billcore.store.types import instant_to_text

T = TypeVar("T")

BUSY_TIMEOUT_S = 30

PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
    # Batches touch many pages of large books; copying them back from the log every few megabytes writes most of
    # them again and again. Durability does not depend on it: every commit is synced in the log.
    "PRAGMA wal_autocheckpoint = 16384",
)

# What must hold on every connection, read back: SQLite ignores a pragma it was built without.
_HOLDS = (("foreign_keys", 1), ("synchronous", 2))

READ_ONLY_OPTION = "billcore_read"


def sqlite_engine(
    url: str,
    *,
    busy_timeout_s: int = BUSY_TIMEOUT_S,
    poolclass: type[Pool] | None = None,
    echo: bool = False,
) -> Engine:
    """An SQLAlchemy engine whose transactions begin at once and hold the write lock (BEGIN IMMEDIATE).

    Hosts that join billcore to their own SQLite transaction use this engine: the driver's default begins a
    transaction only at the first write, and not at all around DDL and savepoints. A transaction waits
    `busy_timeout_s` seconds for another writer, or as many as the URL's `?timeout=` says. Without a `poolclass`, a
    database in memory has one connection for everybody (StaticPool), a file SQLAlchemy's default pool.
    """
    memory = file_of(url) is None
    asked = make_url(url).query.get("timeout")
    if isinstance(asked, str) and asked.isdecimal():
        busy_timeout_s = int(asked)
    if poolclass is None and memory:
        poolclass = StaticPool
    arguments = {"check_same_thread": False, "timeout": busy_timeout_s}
    engine = create_engine(url, connect_args=arguments, poolclass=poolclass, echo=echo)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        if not memory:
            _write_ahead(connection, busy_timeout_s)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        for name, value in _HOLDS:
            found = connection.execute(f"PRAGMA {name}").fetchone()
            if found != (value,):
                raise StoreError(
                    "database_unreachable",
                    f"This SQLite does not keep PRAGMA {name} = {value} (it says {found}).",
                    remedy="Use a Python whose sqlite3 module is built as usual.",
                )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(READ_ONLY_OPTION, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def file_of(url: str) -> str | None:
    """The absolute path of the file behind a SQLite URL; None for a database in memory or on a server."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite":
        return None
    name = parts.database or ""
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:"))
        if parts.query.get("mode") == "memory":
            return None
    return str(Path(name).absolute()) if name not in ("", ":memory:") else None


def _write_ahead(connection: sqlite3.Connection, patience_s: int) -> None:
    """Put the file into WAL mode, which it then keeps.

    SQLite does not always wait for others while the mode changes, so processes that open a new file at one
    moment would fail at random.
    """
    end = time.monotonic_ns() + patience_s * 1_000_000_000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic_ns() > end:
                raise
            time.sleep(0.01)
        else:
            return


class SqliteTransaction(Transaction):
    """A transaction of the driver's connection; the row forms of all databases are SQLite's own."""

    dialect = "sqlite"

    def __init__(self, driver: sqlite3.Connection, observe: Observer | None = None) -> None:
        self._driver = driver
        self.observe = observe

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run a query and return its rows."""
        return self._driver.execute(expanded(sql), [_bind(value) for value in parameters]).fetchall()

    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """Run a query and yield its rows one by one."""
        yield from self._driver.execute(expanded(sql), [_bind(value) for value in parameters])

    def one(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        found: Row | None = self._driver.execute(expanded(sql), [_bind(value) for value in parameters]).fetchone()
        return found

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one writing statement; returns the number of rows it touched."""
        row = tuple([_bind(value) for value in parameters])
        if self.observe is not None:
            self.observe(sql, [row])
        return self._driver.execute(expanded(sql), row).rowcount

    def execute_many(self, sql: str, rows: Sequence[Row]) -> int:
        """Run one writing statement for many rows; returns how many it touched."""
        if not rows:
            return 0
        if self.observe is not None:
            self.observe(sql, rows)
        return self._driver.executemany(sql, rows).rowcount

    def script(self, statements: Sequence[str]) -> None:
        """Run statements without parameters."""
        for statement in statements:
            self.execute(statement)

    def lock_customers(self, ids: Iterable[str], *, skip: bool = False) -> list[str]:  # noqa: ARG002  nobody else writes
        """The ids in order: there is one writer, who has the whole database to himself."""
        return sorted(set(ids))

    def lock(self, name: str) -> None:
        """Nothing: there is one writer."""

    def month(self, column: str) -> str:
        """SQL for the month of an instant in UTC, as 2026-01."""
        return f"substr({column}, 1, 7)"

    def _insert(self, mapper: Mapper, records: Sequence[object]) -> None:
        self.execute_many(mapper.insert, mapper.rows(records))

    def _update(self, mapper: Mapper, records: Sequence[object]) -> int:
        update = mapper.update(records)
        return self.execute_many(update.sql, update.rows(records))


class SqliteStore:
    """The connection to one SQLite database, kept open and handed from thread to thread under a lock."""

    dialect = "sqlite"

    def __init__(self, url: str, engine: Engine | None = None) -> None:
        self.url = url
        self.engine = engine or sqlite_engine(url)
        self.path = file_of(url)
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._process = os.getpid()

    @contextmanager
    def transaction(self, *, reads: bool, observe: Observer | None) -> Iterator[Transaction]:
        """A transaction that commits at the end, or rolls back when anything is raised."""
        with self._held():
            connection = self._open()
            self._check_file()
            with connection.execution_options(**{READ_ONLY_OPTION: reads}).begin():
                yield SqliteTransaction(_driver(connection), observe)
            if observe is not None and not reads:
                observe(COMMIT, ())

    def unit(self, work: Callable[[Transaction], T], *, reads: bool, observe: Observer | None) -> T:
        """What `work` returns; nobody else writes meanwhile, so once is enough."""
        with self.transaction(reads=reads, observe=observe) as tx:
            return work(tx)

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """The one connection."""
        with self._held():
            yield self._open()

    def close(self) -> None:
        """Close the connection; it opens again when it is needed."""
        with self._held():
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self.engine.dispose()

    @staticmethod
    def meaning(error: Exception) -> tuple[str, str] | None:
        """(code, remedy) of what the driver says about the state of the database."""
        text = str(getattr(error, "orig", None) or error)
        for part, code, remedy in _MEANINGS:
            if part in text:
                return code, remedy
        return None

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The connection to oneself. After a fork the parent's is left alone: a file's locks are the process's."""
        if self.path is not None and self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.RLock()
            self._connection = None
            self.engine.dispose(close=False)
        with self._lock:
            yield

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


def _bind(value: object) -> object:
    if isinstance(value, datetime):
        return instant_to_text(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return json.dumps(list(value))
    return value


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
