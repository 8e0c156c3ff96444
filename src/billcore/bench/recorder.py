"""Records the statements that the engine writes, and replays them with nothing but the driver: the raw floor."""

import marshal
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter_ns

from billcore.store.database import COMMIT, expanded
from billcore.store.mapping import Row
from billcore.store.sqlite import PRAGMAS

_VERBS = {"INSERT": "inserted", "UPDATE": "updated"}


class Recorder:
    """An observer of the store that keeps every statement with its rows in a file, in their transactions.

    `spent_ns` is the time it took itself: it is not the engine's. `rows` counts by (table, inserted or updated).
    """

    def __init__(self, path: Path) -> None:
        self.rows: Counter[tuple[str, str]] = Counter()
        self.transactions = 0
        self.spent_ns = 0
        self._file = path.open("wb")

    def __call__(self, sql: str, rows: Sequence[Row]) -> None:
        """One statement, or the end of a transaction."""
        begun = perf_counter_ns()
        if sql == COMMIT:
            self.transactions += 1
        else:
            verb, table = _target(sql)
            self.rows[table, verb] += len(rows)
        marshal.dump((sql, list(rows)), self._file)
        self.spent_ns += perf_counter_ns() - begun

    def close(self) -> None:
        """End the recording; more cannot come."""
        self._file.close()


def replay(path: Path, database: Path) -> int:
    """Write what was recorded into `database`, as the engine had it before; returns the nanoseconds it took.

    Same transactions, same statements, same rows, same PRAGMAS; reading the recording is not counted.
    """
    with closing(connection(database)) as driver:
        spent = 0
        for transaction in _transactions(path):
            begun = perf_counter_ns()
            driver.execute("BEGIN IMMEDIATE")
            for sql, rows in transaction:
                driver.executemany(sql, rows)
            driver.execute(COMMIT)
            spent += perf_counter_ns() - begun
        return spent


def connection(database: Path) -> sqlite3.Connection:
    """A bare connection, set up as the store's own."""
    driver = sqlite3.connect(database, isolation_level=None)
    driver.execute("PRAGMA journal_mode = WAL")
    for pragma in PRAGMAS:
        driver.execute(pragma)
    return driver


def _transactions(path: Path) -> Iterator[list[tuple[str, list[Row]]]]:
    """The recording, one transaction in memory at a time."""
    statements: list[tuple[str, list[Row]]] = []
    with path.open("rb") as file:
        while True:
            try:
                sql, rows = marshal.load(file)  # noqa: S302  our own file of this very run
            except EOFError:
                return
            if sql != COMMIT:
                statements.append((expanded(sql), rows))
            elif statements:
                yield statements
                statements = []


def _target(sql: str) -> tuple[str, str]:
    """What a statement does, and to which table."""
    words = sql.split(None, 3)
    verb = _VERBS[words[0]]
    return verb, words[2] if verb == "inserted" else words[1]
