"""Due work, found by the indexed instants on the rows themselves: whose of it is wanted, and in which order."""

from collections.abc import Collection
from datetime import datetime

from attrs import frozen

from billcore.store.database import Transaction
from billcore.store.mapping import Row


@frozen
class Among:
    """Whose due work is read: these `customers`', where they are given, and nobody's in `without`.

    `slice` is (k, n): the k-th of n slices of all customers, counted from 0; on PostgreSQL only, where several write.
    """

    customers: Collection[str] | None = None
    without: Collection[str] = ()
    slice: tuple[int, int] | None = None


EVERYBODY = Among()


def due_rows(
    tx: Transaction,
    table: str,
    column: str,
    until: datetime,
    limit: int,
    among: Among,
    condition: str = "",
    customer: str = "customer_id",
    *,
    pausable: bool = False,
) -> list[Row]:
    """(instant, customer id, id) of rows whose `column` has come by `until`, earliest first, by its index.

    `customer` is SQL for whose a row is; what is `pausable` waits while its customer is paused.
    """
    where = [f"{column} IS NOT NULL", f"{column} <= ?"]
    parameters: list[object] = [until]
    if pausable:
        where.append(f"{customer} NOT IN (SELECT p.id FROM billcore_customers p WHERE p.paused_at IS NOT NULL)")
    if condition:
        where.append(condition)
    if among.customers is not None:
        where.append(f"{customer} IN ??")
        parameters.append(among.customers)
    if among.without:
        where.append(f"{customer} NOT IN ??")
        parameters.append(among.without)
    if among.slice is not None:
        k, n = among.slice
        where.append(f"mod(hashtextextended({customer}, 0) & 65535, {n:d}) = {k:d}")
    return tx.rows(
        f"SELECT {column}, {customer}, id FROM {table} WHERE {' AND '.join(where)} "
        f"ORDER BY {column}, {customer}, id LIMIT ?",
        [*parameters, limit],
    )
