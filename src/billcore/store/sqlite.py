"""SQLite connections: WAL, synchronous FULL, foreign keys, BEGIN IMMEDIATE (promise P4)."""

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

BUSY_TIMEOUT_S = 30

PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
)

READ_ONLY_OPTION = "billcore_read"


def sqlite_engine(url: str, **options: Any) -> Engine:
    """An SQLAlchemy engine whose transactions begin at once and hold the write lock (BEGIN IMMEDIATE).

    Hosts that join billcore to their own SQLite transaction use this engine: the driver's default begins a
    transaction only at the first write, and not at all around DDL and savepoints.
    """
    memory = make_url(url).database in (None, "", ":memory:")
    if memory:
        options.setdefault("poolclass", StaticPool)
    arguments = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_S, **options.pop("connect_args", {})}
    engine = create_engine(url, connect_args=arguments, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        if not memory:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        for pragma in PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(READ_ONLY_OPTION, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
