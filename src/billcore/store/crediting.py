"""What is read to give back of an invoice: what settled it, its lines' coverage, and what else is still due."""

from collections.abc import Iterable

from billcore.domain.credit import Allocation, Credit
from billcore.domain.invoice import Coverage, CreditNote, Invoice
from billcore.domain.payment import Payment
from billcore.store import invoice as invoices
from billcore.store.database import Transaction
from billcore.store.records import BY_CLASS

_ALLOCATION = BY_CLASS[Allocation]
_COVERAGE = BY_CLASS[Coverage]
_CREDIT = BY_CLASS[Credit]
_NOTE = BY_CLASS[CreditNote]
_PAYMENT = BY_CLASS[Payment]


def coverage_of(tx: Transaction, line_ids: Iterable[str], status: str = "active") -> list[Coverage]:
    """The active coverage of lines, or what became void with them."""
    rows = tx.rows(f"{_COVERAGE.select} WHERE line_id IN ?? AND status = ? ORDER BY id", [list(line_ids), status])
    return _COVERAGE.load_all(rows)


def still_due(tx: Transaction, customer_id: str, currency: str) -> list[Invoice]:
    """A customer's open invoices in one currency on which no attempt is open, the one that fell due first first."""
    rows = tx.rows(
        "SELECT id FROM billcore_invoices WHERE customer_id = ? AND currency = ? AND status = 'open' "
        "AND reserved_by IS NULL ORDER BY due_at, number",
        [customer_id, currency],
    )
    found = invoices.by_ids(tx, [row[0] for row in rows])
    return [found[row[0]] for row in rows]


def credits_by_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, Credit]:
    """Credits by id."""
    rows = tx.rows(f"{_CREDIT.select} WHERE id IN ?? ORDER BY id", [list(ids)])
    return {one.id: one for one in _CREDIT.load_all(rows)}


def paying(tx: Transaction, invoice_id: str) -> list[Payment]:
    """The attempts on an invoice that took money."""
    rows = tx.rows(f"{_PAYMENT.select} WHERE invoice_id = ? AND captured > 0 ORDER BY id", [invoice_id])
    return _PAYMENT.load_all(rows)


def allocations(tx: Transaction, invoice_ids: Iterable[str]) -> list[Allocation]:
    """What settles these invoices beside their attempts, and what was given back of them, oldest first."""
    rows = tx.rows(f"{_ALLOCATION.select} WHERE invoice_id IN ?? ORDER BY id", [list(invoice_ids)])
    return _ALLOCATION.load_all(rows)


def allocated(tx: Transaction, payment_id: str) -> list[tuple[str, int]]:
    """(number of the invoice, amount) of what a payment by hand pays, in the order of the invoices."""
    rows = tx.rows(
        "SELECT i.number_text, CAST(sum(a.amount) AS BIGINT) FROM billcore_payments p "
        "JOIN billcore_allocations a ON a.customer_id = p.customer_id AND a.source_id = p.id "
        "JOIN billcore_invoices i ON i.id = a.invoice_id WHERE p.id = ? GROUP BY i.id, i.number_text ORDER BY i.id",
        [payment_id],
    )
    return [(row[0], row[1]) for row in rows if row[1]]


def returned_for(tx: Transaction, customer_ids: Iterable[str], documents: Iterable[str]) -> list[Allocation]:
    """What these documents, or lines that wait for one, give back of what had settled other invoices."""
    rows = tx.rows(
        f"{_ALLOCATION.select} WHERE customer_id IN ?? AND document_id IN ?? ORDER BY id",
        [list(customer_ids), list(documents)],
    )
    return _ALLOCATION.load_all(rows)


def notes_to(tx: Transaction, invoice_id: str) -> list[CreditNote]:
    """The credit notes that reduced what an invoice is due, without their lines."""
    rows = tx.rows(f"{_NOTE.select} WHERE invoice_id = ? AND \"to\" = 'invoice' ORDER BY id", [invoice_id])
    return _NOTE.load_all(rows)


def bill_elsewhere(tx: Transaction, before: Invoice, after: Invoice) -> None:
    """Let the periods that an invoice billed be billed by another one.

    Renewals stand by who owes for the subscription by now, who need not be who owes the invoice.
    """
    tx.execute(
        "UPDATE billcore_renewals SET invoice_id = ? WHERE invoice_id = ? AND customer_id IN ("
        "SELECT s.customer_id FROM billcore_lines l JOIN billcore_subscriptions s ON s.id = l.subscription_id "
        "WHERE l.invoice_id = ?)",
        [after.id, before.id, before.id],
    )
