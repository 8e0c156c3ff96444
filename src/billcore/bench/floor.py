"""The raw floor: the engine's own rows, written by nothing but the driver, in a process with its own memory.

On SQLite that is `executemany`, on PostgreSQL COPY and UPDATE from arrays, as the engine itself writes.
"""

import marshal
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from time import perf_counter_ns
from typing import IO, TYPE_CHECKING, Self

from billcore.errors import StoreError
from billcore.store.mapping import Row
from billcore.store.sqlite import PRAGMAS, expanded, file_of

if TYPE_CHECKING:
    from billcore.store.wire import Driver

Statement = tuple[str, Sequence[Row]]
"""A statement as the store has it, and its rows."""

Write = Callable[[Sequence[Statement]], None]
"""Writes one transaction, from its BEGIN to its COMMIT."""


class Floor:
    """Writes whole transactions into the database at `url` when it is told to, and says how long each took.

    It works while the engine waits and waits while the engine works, so that whatever else keeps the machine busy
    slows both alike.
    """

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "billcore.bench.floor", url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  ours
        self._answer()

    def write(self, statements: Sequence[Statement]) -> int:
        """Write one transaction; returns the nanoseconds from its BEGIN to its COMMIT. Raises StoreError."""
        assert self._process.stdin is not None
        try:
            dump(statements, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return int(line)

    def _ended(self) -> StoreError:
        return StoreError(
            "database_unreachable",
            "The process that writes the floor ended early.",
            remedy="Its own message stands above; most likely the disk is full.",
        )


def dump(statements: Sequence[Statement], file: IO[bytes]) -> None:
    """Write one transaction into a file or pipe."""
    marshal.dump([(sql, list(rows)) for sql, rows in statements], file)


def load(file: IO[bytes]) -> list[Statement] | None:
    """The next transaction of a file or pipe; None at its end."""
    try:
        found: list[Statement] = marshal.load(file)  # noqa: S302  written by `dump` in a process of ours
    except EOFError:
        return None
    return found


@contextmanager
def writer(url: str) -> Iterator[Write]:
    """What writes transactions into the database with the bare driver."""
    file = file_of(url) if url.startswith("sqlite") else None
    if file is not None:
        with closing(sqlite_connection(file)) as driver:
            yield lambda statements: _write_sqlite(driver, statements)
    else:
        from billcore.store.temporary import bare

        with bare(url) as connection:
            yield lambda statements: _write_postgresql(connection, statements)


def sqlite_connection(file: str) -> sqlite3.Connection:
    """A bare connection, set up as the store's own."""
    driver = sqlite3.connect(file, isolation_level=None)
    driver.execute("PRAGMA journal_mode = WAL")
    for pragma in PRAGMAS:
        driver.execute(pragma)
    return driver


def _write_sqlite(driver: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    driver.execute("BEGIN IMMEDIATE")
    for sql, rows in statements:
        driver.executemany(expanded(sql), rows)
    driver.execute("COMMIT")


def _write_postgresql(connection: "Driver", statements: Sequence[Statement]) -> None:
    from billcore.store.wire import write_copy, write_each, write_set

    connection.execute("BEGIN")
    for sql, rows in statements:
        if sql.startswith("COPY "):
            write_copy(connection, sql, rows)
        elif " FROM unnest(" in sql:
            write_set(connection, sql, rows)
        else:
            write_each(connection, [(sql, rows)])
    connection.execute("COMMIT")


def serve(url: str) -> None:
    """Write the transactions that come in on standard input, and answer each with its nanoseconds."""
    with writer(url) as write:
        say(0)
        while (statements := load(sys.stdin.buffer)) is not None:
            begun = perf_counter_ns()
            write(statements)
            say(perf_counter_ns() - begun)


def say(number: int) -> None:
    """Tell the process that started this one."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # Ctrl-C is for the process that started this one; its end closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.argv[1])
