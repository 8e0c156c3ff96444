"""Refunds: no payment gives back more than it took, and what is promised to customers is told (behaviour 9.6, 10)."""

from collections import Counter

from attrs import field, frozen

from billcore.domain import ledger
from billcore.engine.proofs.law import Findings, Law, money
from billcore.engine.proofs.ledger import Book, Key
from billcore.store.database import Transaction

WITHIN = Law(
    "refunds_within", "9.6", "Refunds of a payment, on their way or owed too, are at most its money.", "payments"
)
COUNTED = Law("refunds_counted", "9.6", "A payment counts as refunded what its refunds have sent out.", "payments")
PROMISED = Law("refunds_promised", "10", "What is promised and not out is what refunds say.", "balances")
UNAPPLIED = Law("unapplied", "10", "Money that paid nothing was given back.", "balances")
NOTED = Law("notes_refunded", "9.6", "Credit notes to refund were refunded, each once.", "credit notes")

_REFUNDS = """
    SELECT customer_id, currency, payment_id, credit_note_id, cause, status, "to", parked_reason, amount
    FROM billcore_refunds WHERE customer_id IN ??
"""
_PAYMENTS = """
    SELECT id, currency, captured, refunded FROM billcore_payments WHERE customer_id IN ?? AND captured > 0
"""
_NOTES = """
    SELECT id, currency, total FROM billcore_credit_notes WHERE customer_id IN ?? AND "to" = 'refund'
"""


@frozen
class _Sums:
    """Refunds added up: by payment what holds and what was sent; by credit note; by customer what is owed."""

    held: Counter[str] = field(factory=Counter)
    sent: Counter[str] = field(factory=Counter)
    noted: Counter[str] = field(factory=Counter)
    promised: Counter[Key] = field(factory=Counter)
    too_much: Counter[Key] = field(factory=Counter)


def prove_refunds(findings: Findings, book: Book, customers: list[str]) -> None:
    """Prove the refunds of these customers."""
    sums = _added_up(findings.tx, customers)
    count = 0
    for payment_id, currency, captured, refunded in findings.tx.stream(_PAYMENTS, [customers]):
        count += 1
        held, sent = sums.held[payment_id], sums.sent[payment_id]
        if held > captured:
            message = f"of {money(captured, currency)} that were taken {money(held, currency)} are given back"
            findings.add(WITHIN, "payment", payment_id, message)
        if refunded != min(sent, captured):
            message = f"{money(refunded, currency)} count as refunded, {money(sent, currency)} were sent"
            findings.add(COUNTED, "payment", payment_id, message)
    for law in (WITHIN, COUNTED):
        findings.checked(law, count)
    count = 0
    for note_id, currency, total in findings.tx.stream(_NOTES, [customers]):
        count += 1
        if total != sums.noted[note_id]:
            message = f"it says {money(total, currency)}, its refunds {money(sums.noted[note_id], currency)}"
            findings.add(NOTED, "credit note", note_id, message)
    findings.checked(NOTED, count)
    _prove_balances(findings, book, sums)


def _added_up(tx: Transaction, customers: list[str]) -> _Sums:
    sums = _Sums()
    for customer, currency, payment_id, note_id, cause, status, to, parked, amount in tx.stream(_REFUNDS, [customers]):
        if status == "failed" and parked is None:  # It was made good by another one, or its invoice has it again.
            continue
        if status == "succeeded" and to != "credit":
            sums.sent[payment_id] += amount
        if status == "succeeded" and parked is not None:
            sums.too_much[customer, currency] += amount
            continue
        if cause == "lost":
            continue
        if to != "credit":  # What became credit is still here, and may be paid out.
            sums.held[payment_id] += amount
        if note_id is not None and cause != "payout":
            sums.noted[note_id] += amount
        if status != "succeeded":
            sums.promised[customer, currency] += amount
    return sums


def _prove_balances(findings: Findings, book: Book, sums: _Sums) -> None:
    """What is owed to customers stands in `refunds` until it is out; what they have too much is in `unapplied`."""
    keys = sorted({*sums.promised, *sums.too_much, *book.accounts})
    nothing: dict[str, int] = {}
    for key in keys:
        held = book.accounts.get(key, nothing)
        expected = ((PROMISED, ledger.REFUNDS, sums.promised[key]), (UNAPPLIED, ledger.UNAPPLIED, -sums.too_much[key]))
        for law, account, wanted in expected:
            found = held.get(account, 0)
            if found != wanted:
                said = f"the ledger holds {money(found, key[1])} in {account}, the refunds say {money(wanted, key[1])}"
                findings.add(law, "customer", key[0], said)
    for law in (PROMISED, UNAPPLIED):
        findings.checked(law, len(keys))
