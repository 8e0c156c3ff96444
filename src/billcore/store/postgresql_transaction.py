"""One unit of work on a psycopg connection."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import psycopg
from psycopg.pq import TransactionStatus

from billcore.domain.writes import Writes
from billcore.store.mapping import Mapper, Row
from billcore.store.transaction import Observer, Transaction, conflict
from billcore.store.wire import (
    Driver,
    StoreCursor,
    many_inserted,
    many_updated,
    parameters,
    streamed,
    translated,
    write_copy,
    write_each,
    write_set,
)

AT_ONCE = 5
"""From so many rows on COPY and arrays are quicker than a statement for each."""

# Names of server-side cursors: transactions joined to one of the host's share its names.
_STREAMS = count(1)


class PostgresqlTransaction(Transaction):
    """A transaction on a psycopg connection. `failure` is the first error that the database gave in it.

    `witness` is a query that finds a row only if this transaction was kept.
    """

    dialect = "postgresql"

    def __init__(self, driver: Driver, observe: Observer | None = None) -> None:
        self.driver = driver
        self.observe = observe
        self.failure: Exception | None = None
        self.witness: tuple[str, list[object]] | None = None
        self._singles: list[tuple[Mapper, str, Sequence[Row]]] = []

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a query and return its rows."""
        with self._noting():
            return self._cursor(sql, values).fetchall()

    def stream(self, sql: str, values: Sequence[object] = ()) -> Iterator[Row]:
        """Run a query and yield its rows one by one, fetched by the page."""
        with self._noting():
            yield from streamed(self.driver, sql, values, f"billcore_{next(_STREAMS)}")

    def one(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        with self._noting():
            return self._cursor(sql, values).fetchone()

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one writing statement; returns the number of rows it touched."""
        if self.observe is not None:
            self.observe(sql, [tuple(parameters(values))])
        with self._noting():
            return self._cursor(sql, values).rowcount

    def execute_many(self, sql: str, rows: Sequence[Row]) -> int:
        """Run one writing statement for many rows; returns how many it touched."""
        if not rows:
            return 0
        if self.observe is not None:
            self.observe(sql, rows)
        with self._noting():
            return write_each(self.driver, [(sql, rows)])[0]

    def save(self, writes: Writes) -> None:
        """Insert and update everything collected; single rows, of whatever tables, in one round trip."""
        self._singles.clear()
        super().save(writes)
        self._send_singles()

    def script(self, statements: Sequence[str]) -> None:
        """Run statements without parameters, in one round trip."""
        with self._noting(), StoreCursor(self.driver) as cursor:
            cursor.execute(";\n".join(statements), prepare=False)

    def lock_customers(self, ids: Iterable[str], *, skip: bool = False) -> list[str]:
        """Keep these customers to this transaction until its end; with `skip` without those another one keeps."""
        wanted = sorted(set(ids))
        if not wanted:
            return []
        sql = "SELECT id FROM billcore_customers WHERE id IN ?? ORDER BY id FOR NO KEY UPDATE"
        return [row[0] for row in self.rows(f"{sql} SKIP LOCKED" if skip else sql, [wanted])]

    def lock(self, name: str) -> None:
        """Keep a name to this transaction until its end; others wait for it."""
        self.rows("SELECT pg_advisory_xact_lock(hashtextextended(?, 0)) IS NULL", [f"billcore {name}"])

    def month(self, column: str) -> str:
        """SQL for the month of an instant in UTC, as 2026-01."""
        return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM')"

    @property
    def has_failed(self) -> bool:
        """Whether it can only be rolled back."""
        return self.driver.info.transaction_status in (TransactionStatus.INERROR, TransactionStatus.UNKNOWN)

    def name(self) -> tuple[str, int] | None:
        """What the server keeps account of this transaction under: its number, and the server process it runs in.

        None while it has written nothing.
        """
        row = self.one("SELECT CAST(pg_current_xact_id_if_assigned() AS TEXT), pg_backend_pid()")
        return None if row is None or row[0] is None else (row[0], row[1])

    def _insert(self, mapper: Mapper, records: Sequence[object]) -> None:
        rows = mapper.rows(records)
        self.witness = (f"SELECT 1 FROM {mapper.table.name} WHERE id = ?", [rows[0][mapper.columns.index("id")]])
        if len(rows) < AT_ONCE:
            self._singles.append((mapper, mapper.insert, rows))
            return
        self._send_singles()
        statement = many_inserted(mapper)
        if self.observe is not None:
            self.observe(statement, rows)
        with self._noting():
            write_copy(self.driver, statement, rows)

    def _update(self, mapper: Mapper, records: Sequence[object]) -> int:
        update = mapper.update(records)
        rows = update.rows(records)
        if self.witness is None and mapper.versioned:
            sql = f"SELECT 1 FROM {mapper.table.name} WHERE id = ? AND version > ?"
            self.witness = (sql, list(rows[0][-2:]))
        if len(rows) < AT_ONCE:
            # Counted when they are sent.
            self._singles.append((mapper, update.sql, rows))
            return len(rows)
        self._send_singles()
        statement = many_updated(mapper, update)
        if self.observe is not None:
            self.observe(statement, rows)
        with self._noting():
            return write_set(self.driver, statement, rows)

    def _send_singles(self) -> None:
        """Write the single rows that were put off so far: what comes next may refer to them."""
        singles, self._singles = self._singles, []
        if not singles:
            return
        if self.observe is not None:
            for _, sql, rows in singles:
                self.observe(sql, rows)
        with self._noting():
            touched = write_each(self.driver, [(sql, rows) for _, sql, rows in singles])
        for (mapper, _, rows), found in zip(singles, touched, strict=True):
            if found != len(rows):
                raise conflict(mapper, len(rows) - found, len(rows))

    def _cursor(self, sql: str, values: Sequence[object]) -> StoreCursor:
        cursor = StoreCursor(self.driver)
        cursor.execute(translated(sql), parameters(values), prepare=False, binary=True)
        return cursor

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self.failure = self.failure or error
            raise
