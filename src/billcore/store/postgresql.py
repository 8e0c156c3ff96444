"""PostgreSQL through psycopg 3: a pool of connections, units that are run again, COMMITs whose answer was lost.

Nothing outlives a transaction on its connection: no prepared statement, setting, listening or session lock. So a
pooler that hands connections from transaction to transaction (pgbouncer) may stand between.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from attrs import define, field
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, RootTransaction, create_engine, event
from sqlalchemy import exc as sa
from sqlalchemy.engine import make_url

from billcore.errors import StoreError
from billcore.store.mapping import Row
from billcore.store.patience import Patience, driver_error, is_lost
from billcore.store.patience import meaning as meaning_of
from billcore.store.postgresql_transaction import PostgresqlTransaction
from billcore.store.transaction import COMMIT, Observer, Transaction
from billcore.store.wire import Driver, StoreCursor

T = TypeVar("T")

OLDEST = 150_000
"""PostgreSQL 15, as the server counts."""

POOL, OVERFLOW, POOL_TIMEOUT_S = 10, 30, 30

READ_ONLY_OPTION = "billcore_read"

# One picture of the books for all queries of a unit, as on SQLite; the server never refuses to read on.
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Two statements in one round trip; what is set ends with the transaction.
_BEGIN_WRITING = "BEGIN; SET LOCAL lock_timeout = '30s'"

# Text in the server is UTF-8; a peer that vanished is noticed within two minutes instead of two hours.
_CONNECT = {
    "client_encoding": "UTF8",
    "fallback_application_name": "billcore",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 5,
    "tcp_user_timeout": 90_000,
}


def postgresql_engine(url: str) -> Engine:
    """An SQLAlchemy engine on psycopg 3 with a pool, whose transactions begin with a BEGIN of their own.

    `url` may begin with postgresql:// or postgres://; what it says of connections goes before what is said here.
    """
    parts = make_url(url).set(drivername="postgresql+psycopg")
    arguments = {name: value for name, value in _CONNECT.items() if name not in parts.query}
    engine = create_engine(
        parts,
        # The driver's own transaction control begins late and prepares what is repeated.
        connect_args={**arguments, "autocommit": True, "prepare_threshold": None},
        use_native_hstore=False,
        pool_size=POOL,
        max_overflow=OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def check(driver: Driver, _record: object) -> None:
        version = driver.info.server_version
        encoding = driver.info.parameter_status("server_encoding") or "UTF8"
        if version < OLDEST or encoding != "UTF8":
            raise StoreError(
                "database_unreachable",
                f"This is PostgreSQL {version // 10_000} with encoding {encoding}.",
                remedy="Use PostgreSQL 15 or newer and a database with encoding UTF8.",
            )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(READ_ONLY_OPTION, False)
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with StoreCursor(driver) as cursor:
            cursor.execute(_BEGIN_READING if reads else _BEGIN_WRITING)

    return engine


def _end(engine: Engine, process: int) -> None:
    if process == os.getpid():
        engine.dispose()


def _sleep(milliseconds: int) -> None:
    time.sleep(milliseconds / 1000)


@define
class _Open:
    """A transaction of ours with its connection."""

    connection: Connection
    root: RootTransaction
    reads: bool
    tx: PostgresqlTransaction


@define(eq=False)
class PostgresqlStore:
    """One PostgreSQL database: threads have transactions side by side, each on a connection of a pool.

    `sleep` (milliseconds) and `clock` (nanoseconds) can be a test's.
    """

    url: str
    engine: Engine
    dialect: str = "postgresql"
    path: None = None
    sleep: Callable[[int], None] = _sleep
    clock: Callable[[], int] = time.monotonic_ns
    _reached: bool = field(default=False, init=False)
    _process: int = field(factory=os.getpid, init=False)
    _generation: int = field(default=0, init=False)
    _current: threading.local = field(factory=threading.local, init=False)

    def __attrs_post_init__(self) -> None:
        # A store that nobody closed ends its connections with itself.
        weakref.finalize(self, _end, self.engine, os.getpid())

    @contextmanager
    def transaction(self, *, reads: bool, observe: Observer | None) -> Iterator[Transaction]:
        """A transaction that commits at the end, or rolls back when anything is raised."""
        opened = self._begin(Patience(self.sleep, self.clock), reads=reads, observe=observe)
        try:
            yield opened.tx
        except BaseException:
            self._roll_back(opened)
            raise
        lost = self._commit(opened)
        if lost is not None:
            raise lost

    def unit(self, work: Callable[[Transaction], T], *, reads: bool, observe: Observer | None) -> T:
        """What `work` returns, run again from the start where the database asks for it."""
        patience = Patience(self.sleep, self.clock)
        while True:
            opened = self._begin(patience, reads=reads, observe=observe)
            try:
                result = work(opened.tx)
            except BaseException as error:
                # What was made of the driver's error on the way up does not say what the database asks for.
                cause = (opened.tx.failure if opened.tx.has_failed else None) or error
                self._roll_back(opened)
                if not isinstance(error, Exception) or not patience.again(cause):
                    raise
                continue
            try:
                lost = self._commit(opened)
            except psycopg.Error as error:
                if not patience.again(error):
                    raise
                continue
            if lost is None:
                return result
            if not patience.again(lost):
                raise lost

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """The SQLAlchemy connection of this thread's transaction, else one without a transaction."""
        current = getattr(self._current, "connection", None)
        if current is not None:
            yield current
            return
        self._leave_to_parent()
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; those at work when their transaction ends. They open again when needed."""
        self._leave_to_parent()
        self._generation += 1
        self.engine.dispose()

    def meaning(self, error: Exception, /) -> tuple[str, str] | None:
        """What an error says about the state of the database."""
        return meaning_of(error)

    def _leave_to_parent(self) -> None:
        """After a fork the pool's connections are the parent's: they are forgotten, not closed."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self.engine.dispose(close=False)

    def _begin(self, patience: Patience, *, reads: bool, observe: Observer | None) -> _Open:
        """A transaction on a live connection. A server that was there before is waited for when it is gone."""
        self._leave_to_parent()
        stale = POOL + OVERFLOW
        while True:
            connection: Connection | None = None
            try:
                connection = self.engine.connect().execution_options(**{READ_ONLY_OPTION: reads})
                connection.info.setdefault("billcore", self._generation)
                self._reached = True
                root = self._begun(connection)
            except (psycopg.Error, sa.DBAPIError) as error:
                if not (self._reached and is_lost(error)):
                    raise
                if connection is not None and stale:
                    # It lay in the pool when the server ended; so may the others.
                    stale -= 1
                elif not patience.wait():
                    raise
                continue
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            self._current.connection = connection
            return _Open(connection, root, reads, PostgresqlTransaction(driver, observe))

    @staticmethod
    def _begun(connection: Connection) -> RootTransaction:
        try:
            return connection.begin()
        except BaseException:
            connection.invalidate()
            connection.close()
            raise

    def _commit(self, opened: _Open) -> Exception | None:
        """Commit; the error if the connection was lost and nothing was kept. Raises what else is wrong."""
        tx = opened.tx
        name: tuple[str, int] | None = None
        sent = False
        try:
            if tx.failure is not None and tx.has_failed:
                # Somebody caught the error: the server would answer COMMIT by rolling back.
                raise tx.failure
            name = None if opened.reads else tx.name()
            sent = True
            tx.driver.commit()
        except BaseException as error:
            self._roll_back(opened)
            if isinstance(error, psycopg.Error) and is_lost(error):
                return None if sent and (name is None or self._was_kept(tx, *name)) else error
            raise
        self._release(opened)
        if tx.observe is not None and name is not None:
            tx.observe(COMMIT, ())
        return None

    def _was_kept(self, tx: PostgresqlTransaction, number: str, process: int) -> bool:
        """Whether a COMMIT without an answer took effect; StoreError commit_unknown where nobody can say."""
        patience = Patience(self.sleep, self.clock)
        while True:
            try:
                if patience.waits > _LET_IT_END:
                    # Its server process has not noticed that we are gone, and would keep its locks for long.
                    self._ask(_END, [process, number])
                (status,) = self._ask("SELECT pg_xact_status(CAST(? AS xid8))", [number]) or (None,)
                # After a crash the server may give a number that was never kept to another transaction.
                if status == "committed":
                    return tx.witness is None or self._ask(*tx.witness) is not None
            except (psycopg.Error, sa.DBAPIError) as error:
                driver = driver_error(error)
                if driver is not None and driver.sqlstate == _NEVER_GIVEN:
                    return False
                status = "unreachable"
            if status == "aborted":
                return False
            if status is None or not patience.wait():
                raise StoreError(
                    "commit_unknown",
                    f"The connection was lost at the end of a transaction, and whether it was kept cannot be told "
                    f"(transaction {number}).",
                    remedy="Look whether the command took effect; with an idempotency key it can simply be repeated.",
                    transaction=number,
                )

    def _ask(self, sql: str, values: Sequence[object]) -> Row | None:
        """The first row of a query outside of any transaction."""
        with self.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            return PostgresqlTransaction(driver).one(sql, values)

    def _roll_back(self, opened: _Open) -> None:
        driver = opened.tx.driver
        try:
            if driver.info.transaction_status == TransactionStatus.ACTIVE:
                driver.close()
            elif not driver.closed:
                driver.rollback()
        except psycopg.Error:
            driver.close()
        self._release(opened)

    def _release(self, opened: _Open) -> None:
        self._current.connection = None
        connection = opened.connection
        driver = opened.tx.driver
        if driver.closed or connection.info.get("billcore") != self._generation:
            connection.invalidate()
        connection.close()


_LET_IT_END = 10
"""After so many looks at a transaction that goes on without us, ten seconds or so, its server process is ended."""

_NEVER_GIVEN = "22023"
"""What the server says of a number it has not given to any transaction."""

_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ? "
    "AND backend_xid = CAST(CAST(? AS xid8) AS xid) AND wait_event IS DISTINCT FROM 'SyncRep'"
)
