"""SQLite connections: WAL, synchronous FULL, foreign keys, BEGIN IMMEDIATE (promise P4)."""

import sqlite3
import time
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import Pool, StaticPool

from billcore.errors import StoreError

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
    """The absolute path of the file behind a SQLite URL; None for a database in memory."""
    parts = make_url(url)
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
