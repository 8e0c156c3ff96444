"""What a dry run answers: the result, and the documents that would come of it (behaviour 3.8)."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from attrs import frozen

from billcore.domain.invoice import CreditNote, Invoice
from billcore.domain.payment import Payment
from billcore.domain.writes import Writes
from billcore.store.invoice import by_ids
from billcore.store.transaction import Transaction

T = TypeVar("T")


@frozen
class Preview(Generic[T]):
    """A command's result and documents, as they would be; attempts are taken as approved. Nothing was kept."""

    value: T
    invoices: tuple[Invoice, ...]
    credit_notes: tuple[CreditNote, ...]
    payments: tuple[Payment, ...]


class RolledBack(Exception):
    """Carries the preview out of the transaction that is rolled back."""

    def __init__(self, preview: Preview[object]) -> None:
        super().__init__("rolled back")
        self.preview = preview


def preview_of(tx: Transaction, value: object, made: Sequence[Writes]) -> Preview[object]:
    """The preview of a result from all that was written for it; invoices are read as they stand, with their lines."""
    invoices: dict[str, None] = {}
    notes: dict[str, CreditNote] = {}
    payments: dict[str, Payment] = {}
    new = {payment.id for writes in made for payment in writes.new(Payment)}
    for writes in made:
        for record in writes:
            match record:
                case Invoice():
                    invoices[record.id] = None
                case CreditNote():
                    notes[record.id] = record
                case Payment() if record.id in new:  # Others are given back, or were there before.
                    payments[record.id] = record
    stored = by_ids(tx, invoices)
    there = tuple(stored[invoice_id] for invoice_id in invoices if invoice_id in stored)
    return Preview(value, there, tuple(notes.values()), tuple(payments.values()))
