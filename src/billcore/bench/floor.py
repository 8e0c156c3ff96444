"""The raw floor: the engine's own rows, written by nothing but the driver, in a process with its own memory."""

import marshal
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter_ns
from typing import Self

from billcore.errors import StoreError
from billcore.store.mapping import Row
from billcore.store.sqlite import PRAGMAS

Statement = tuple[str, Sequence[Row]]
"""A statement as SQLite takes it, and its rows."""


class Floor:
    """Writes whole transactions into `database` when it is told to, and says how long each took.

    It works while the engine waits and waits while the engine works, so that whatever else keeps the machine busy
    slows both alike.
    """

    def __init__(self, database: Path) -> None:
        command = [sys.executable, "-m", "billcore.bench.floor", str(database)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  ours
        self._answer()

    def write(self, statements: Sequence[Statement]) -> int:
        """Write one transaction; returns the nanoseconds from its BEGIN to its COMMIT. Raises StoreError."""
        assert self._process.stdin is not None
        try:
            marshal.dump([(sql, list(rows)) for sql, rows in statements], self._process.stdin)
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


def connection(database: Path) -> sqlite3.Connection:
    """A bare connection, set up as the store's own."""
    driver = sqlite3.connect(database, isolation_level=None)
    driver.execute("PRAGMA journal_mode = WAL")
    for pragma in PRAGMAS:
        driver.execute(pragma)
    return driver


def serve(database: Path) -> None:
    """Write the transactions that come in on standard input, and answer each with its nanoseconds."""
    with closing(connection(database)) as driver:
        _say(0)
        while True:
            try:
                statements = marshal.load(sys.stdin.buffer)  # noqa: S302  from the process that started this one
            except EOFError:
                return
            begun = perf_counter_ns()
            driver.execute("BEGIN IMMEDIATE")
            for sql, rows in statements:
                driver.executemany(sql, rows)
            driver.execute("COMMIT")
            _say(perf_counter_ns() - begun)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # Ctrl-C is for the process that started this one; its end closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Path(sys.argv[1]))
