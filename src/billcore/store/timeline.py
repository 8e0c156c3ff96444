"""What happened to one subscription, read from everything that tells of it."""

from collections.abc import Iterable

from billcore.domain.event import StateChange
from billcore.store.database import Transaction
from billcore.store.mapping import Row
from billcore.store.records import BY_CLASS

_STATE = BY_CLASS[StateChange]


def state_changes(tx: Transaction, subscription_id: str) -> list[StateChange]:
    """Its changes of state in the order in which they were written down."""
    rows = tx.rows(f"{_STATE.select} WHERE subscription_id = ? ORDER BY at, id", [subscription_id])
    return _STATE.load_all(rows)


def invoices(tx: Transaction, customer_ids: Iterable[str], subscription_id: str) -> list[Row]:
    """(id, number, issued_at, currency, what its lines come to, status) of issued invoices with lines of it."""
    return tx.rows(
        "SELECT i.id, i.number_text, i.issued_at, i.currency, "
        "CAST(sum(l.amount - l.discount + l.tax - l.tax_included) AS BIGINT), i.status, i.purpose "
        "FROM billcore_invoices i JOIN billcore_lines l ON l.invoice_id = i.id "
        "WHERE i.customer_id IN ?? AND i.number IS NOT NULL AND l.subscription_id = ? "
        "GROUP BY i.id, i.number_text, i.issued_at, i.currency, i.status, i.purpose ORDER BY i.issued_at, i.id",
        [list(customer_ids), subscription_id],
    )


def notes(tx: Transaction, customer_ids: Iterable[str], subscription_id: str) -> list[Row]:
    """(id, number, issued_at, currency, what its lines give back, to) of credit notes with lines of it."""
    return tx.rows(
        "SELECT n.id, n.number_text, n.issued_at, n.currency, "
        'CAST(sum(l.discount - l.amount - l.tax + l.tax_included) AS BIGINT), n."to" '
        "FROM billcore_credit_notes n JOIN billcore_lines l ON l.credit_note_id = n.id "
        "WHERE n.customer_id IN ?? AND l.subscription_id = ? "
        'GROUP BY n.id, n.number_text, n.issued_at, n.currency, n."to" ORDER BY n.issued_at, n.id',
        [list(customer_ids), subscription_id],
    )


def payments(tx: Transaction, invoice_ids: Iterable[str]) -> list[Row]:
    """(created_at, status, amount, currency, captured, decline code, cause, id) of attempts on invoices."""
    return tx.rows(
        "SELECT created_at, status, amount, currency, captured, decline_code, cause, id FROM billcore_payments "
        "WHERE invoice_id IN ?? ORDER BY created_at, id",
        [list(invoice_ids)],
    )


def paid(tx: Transaction, customer_ids: Iterable[str], subscription_id: str) -> dict[str, int]:
    """What payments have paid of invoices whose lines are all the subscription's, by currency, refunds taken off."""
    rows = tx.rows(
        "SELECT i.currency, CAST(sum(i.paid) AS BIGINT) FROM billcore_invoices i WHERE i.customer_id IN ?? "
        "AND i.subscription_id = ? AND i.number IS NOT NULL GROUP BY i.currency ORDER BY i.currency",
        [list(customer_ids), subscription_id],
    )
    return {row[0]: row[1] for row in rows}
