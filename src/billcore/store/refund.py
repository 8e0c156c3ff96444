"""Stored refunds."""

from collections.abc import Iterable
from datetime import datetime

from billcore.domain.payment import Payment
from billcore.domain.refund import OPEN, Refund
from billcore.store.database import Transaction
from billcore.store.due import EVERYBODY, Among, due_rows
from billcore.store.mapping import Row
from billcore.store.records import BY_CLASS

TABLE = "billcore_refunds"

_PAYMENT = BY_CLASS[Payment]
_REFUND = BY_CLASS[Refund]


def get(tx: Transaction, refund_id: str) -> Refund | None:
    """The refund with this id."""
    row = tx.one(f"{_REFUND.select} WHERE id = ?", [refund_id])
    return _REFUND.load(row) if row else None


def by_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, Refund]:
    """Refunds by id, in its order."""
    rows = tx.rows(f"{_REFUND.select} WHERE id IN ?? ORDER BY id", [list(ids)])
    return {one.id: one for one in _REFUND.load_all(rows)}


def nth(tx: Transaction, customer_id: str, place: int) -> Refund | None:
    """The customer's n-th refund, counted from 1."""
    row = tx.one(f"{_REFUND.select} WHERE customer_id = ? ORDER BY id LIMIT 1 OFFSET ?", [customer_id, place - 1])
    return _REFUND.load(row) if row else None


def of_payments(tx: Transaction, payment_ids: Iterable[str]) -> dict[str, tuple[Refund, ...]]:
    """Every refund ever made of these payments, in order, by payment id."""
    found: dict[str, tuple[Refund, ...]] = {}
    sql = f"{_REFUND.select} WHERE payment_id IN ?? ORDER BY attempt"
    for refund in _REFUND.load_all(tx.rows(sql, [list(payment_ids)])):
        found[refund.charge] = (*found.get(refund.charge, ()), refund)
    return found


def paid_by(tx: Transaction, payment: Payment) -> list[str]:
    """The ids of the invoices that a payment pays: its own, or those that it was recorded for."""
    if payment.invoice_id is not None:
        return [payment.invoice_id]
    rows = tx.rows(
        "SELECT invoice_id FROM billcore_allocations WHERE customer_id = ? AND account = 'payments' AND source_id = ? "
        "GROUP BY invoice_id HAVING sum(amount) > 0 ORDER BY invoice_id",
        [payment.customer_id, payment.id],
    )
    return [row[0] for row in rows]


def refundable(tx: Transaction, customer_id: str, currency: str) -> list[Payment]:
    """A customer's payments in one currency that took money and still have some, the newest first."""
    rows = tx.rows(
        f"{_PAYMENT.select} WHERE customer_id = ? AND currency = ? AND captured > refunded ORDER BY id DESC",
        [customer_id, currency],
    )
    return _PAYMENT.load_all(rows)


def page(
    tx: Transaction,
    *,
    customer_id: str | None,
    payment_id: str | None,
    status: str | None,
    after: str | None,
    limit: int,
    newest: bool = False,
) -> list[Refund]:
    """Refunds in order of creation, or the newest first."""
    where: list[str] = []
    parameters: list[object] = []
    if after is not None:
        where.append("id < ?" if newest else "id > ?")
        parameters.append(after)
    for column, value in (("customer_id", customer_id), ("payment_id", payment_id), ("status", status)):
        if value is not None:
            where.append(f"{column} = ?")
            parameters.append(value)
    filtered = f" WHERE {' AND '.join(where)}" if where else ""
    order = "id DESC" if newest else "id"
    rows = tx.rows(f"{_REFUND.select}{filtered} ORDER BY {order} LIMIT ?", [*parameters, limit])
    return _REFUND.load_all(rows)


def due_checks(tx: Transaction, until: datetime, limit: int, among: Among = EVERYBODY) -> list[Row]:
    """(next_check_at, customer_id, id) of refunds that are sent, or whose outcome is asked for, up to `until`."""
    return due_rows(tx, TABLE, "next_check_at", until, limit, among)


def check_now(tx: Transaction, refund_id: str, at: datetime) -> None:
    """Let a refund be asked for at `at`, one that has ended too: its gateway says that there is news of it."""
    tx.execute(
        "UPDATE billcore_refunds SET next_check_at = ?, version = version + 1 "
        "WHERE id = ? AND \"to\" = 'method' AND sends > 0",
        [at, refund_id],
    )


def waiting(tx: Transaction, limit: int) -> list[Refund]:
    """Refunds that have not ended."""
    rows = tx.rows(
        f"{_REFUND.select} WHERE next_check_at IS NOT NULL AND status IN ?? ORDER BY id LIMIT ?", [OPEN, limit]
    )
    return _REFUND.load_all(rows)


def parked(tx: Transaction, limit: int) -> list[Refund]:
    """Refunds that wait for a person."""
    rows = tx.rows(f"{_REFUND.select} WHERE parked_reason IS NOT NULL ORDER BY id LIMIT ?", [limit])
    return _REFUND.load_all(rows)
