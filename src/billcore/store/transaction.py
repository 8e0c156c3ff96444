"""One unit of work in the database, whichever it is: what all the SQL of the store is written against."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime

from billcore.domain.writes import Writes
from billcore.errors import StoreError
from billcore.store.mapping import Mapper, Row
from billcore.store.records import MAPPERS

Observer = Callable[[str, Sequence[Row]], None]

COMMIT = "COMMIT"


class Transaction(ABC):
    """One unit of work on one connection.

    Statements are the same for every database: `?` is a parameter, `IN ??` and `NOT IN ??` take a list. Rows go in
    and come out in the same forms everywhere: instants and decimals as text, flags as 0 and 1.

    `observe`, when given, sees every statement that writes, with its rows, and COMMIT once they are kept: the
    benchmark replays them. `dialect` is "sqlite" or "postgresql".
    """

    dialect: str
    observe: Observer | None = None

    @abstractmethod
    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run a query and return its rows."""

    @abstractmethod
    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """Run a query and yield its rows one by one, for reading more than memory holds."""

    @abstractmethod
    def one(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one writing statement; returns the number of rows it touched."""

    @abstractmethod
    def execute_many(self, sql: str, rows: Sequence[Row]) -> int:
        """Run one writing statement for many rows; returns how many it touched."""

    @abstractmethod
    def script(self, statements: Sequence[str]) -> None:
        """Run statements without parameters: those that make the tables."""

    @abstractmethod
    def lock_customers(self, ids: Iterable[str], *, skip: bool = False) -> list[str]:
        """Keep these customers to this transaction until its end; with `skip` without those another one keeps.

        Whoever writes what belongs to a customer keeps him first and reads after that. Returns the ids that are
        kept, in order; without `skip` those of customers that exist.
        """

    @abstractmethod
    def lock(self, name: str) -> None:
        """Keep a name to this transaction until its end; others wait for it."""

    @abstractmethod
    def month(self, column: str) -> str:
        """SQL for the month of an instant in UTC, as 2026-01."""

    @abstractmethod
    def _insert(self, mapper: Mapper, records: Sequence[object]) -> None: ...

    @abstractmethod
    def _update(self, mapper: Mapper, records: Sequence[object]) -> int: ...

    def due(
        self,
        table: str,
        column: str,
        until: datetime,
        limit: int,
        customers: Collection[str] | None = None,
        condition: str = "",
    ) -> list[Row]:
        """(instant, customer id, id) of rows whose `column` has come by `until`, earliest first, by its index."""
        where = f"{column} IS NOT NULL AND {column} <= ?" + (f" AND {condition}" if condition else "")
        parameters: list[object] = [until]
        if customers is not None:
            where += " AND customer_id IN ??"
            parameters.append(customers)
        return self.rows(
            f"SELECT {column}, customer_id, id FROM {table} WHERE {where} ORDER BY {column}, customer_id, id LIMIT ?",
            [*parameters, limit],
        )

    def save(self, writes: Writes) -> None:
        """Update and insert everything collected, in an order that the foreign keys allow.

        Changed rows first: one that gives a place up (time that is covered no more) makes room for a new one.

        Raises StoreError version_conflict when a row is not as it was read any more.
        """
        for mapper in MAPPERS:
            changed = writes.changed(mapper.record)
            if changed:
                touched = self._update(mapper, changed)
                if touched != len(changed):
                    raise conflict(mapper, len(changed) - touched, len(changed))
            new = writes.new(mapper.record)
            if new:
                self._insert(mapper, new)


def conflict(mapper: Mapper, missing: int, total: int) -> StoreError:
    """What rows that are not as they were read end in."""
    return StoreError(
        "version_conflict",
        f"{missing} of {total} rows of {mapper.table.name} changed meanwhile.",
        remedy="Read them again and repeat the command.",
    )
