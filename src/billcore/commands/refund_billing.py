"""Documents of a cancellation that is refunded: to the payments, and to credit what they had not paid (6.2)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from billcore.commands.bill import number_notes, write_step
from billcore.commands.crediting import ToRefund
from billcore.commands.receivables import apply_to_open
from billcore.commands.refunding import Wish, refund_owed
from billcore.commands.returning import give_back, kept_of, of_notes, write_down
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now
from billcore.commands.unused import split_credits
from billcore.domain.bill import issue_note, make_bill, use_coupons
from billcore.domain.credit import Allocation
from billcore.domain.customer import Customer
from billcore.domain.draft import DraftLine
from billcore.domain.invoice import CreditNote
from billcore.domain.step import Step
from billcore.store import invoice as invoices


def bill_refunding(scope: Scope, steps: Sequence[Step], customer: Customer) -> None:
    """Bill steps of one document whose credits go back to where the money came from, as far as charges leave any.

    One note to refund, and one to credit for what no payment had paid; an invoice where the charges are more. Raises
    unsupported_capability where a gateway gives nothing back.
    """
    at = scope.now
    bill = make_bill(steps, customer, scope.site, at, scope.new_id)
    if bill.note is None:
        bill_all_now(scope, steps)
        return
    paid = [one for one in bill.returned if one.account == "payments"]
    others = [one for one in bill.returned if one.account != "payments"]
    # Charges take what is no money of the customer's first (behaviour 3.5).
    kept = max(0, bill.note.total - sum(one.returned for one in paid))
    refunded = bill.note.total - kept
    lines = [line for step in steps for line in step.lines]
    first, second = _parted(lines, kept)
    by_credit = of_notes(bill.note, bill.returned)
    credited, taken = _shares(scope, others, by_credit, kept) if refunded else (bill.returned, [])
    notes = []
    if refunded:
        notes.append(_note(scope, steps, customer, at, first, "refund"))
        write_down(scope, [*paid, *taken], notes[0].id)
        issue_note(notes[0], at, scope.writes, scope.new_id)
    if kept:
        note = _note(scope, steps, customer, at, second if refunded else lines, "credit")
        issue_note(note, at, scope.writes, scope.new_id, give_back(scope, credited, note))
        notes.append(note)
    for step in steps:
        write_step(scope, use_coupons(step, bill.used), None, evolve(bill, note=notes[0]))
    number_notes(scope)
    scope.flush()
    if refunded:
        _refund(scope, paid, refunded, notes[0])
    if kept:
        apply_to_open(scope, customer.id, notes[-1].currency)
    scope.flush()


def _parted(lines: Sequence[DraftLine], kept: int) -> tuple[list[DraftLine], list[DraftLine]]:
    """The lines of the note to refund, and credit lines over `kept` for the one to credit."""
    if not kept:
        return list(lines), []
    # What waited and is taken back beside it is nobody's money.
    beside = {line.waiting.id for line in lines if line.waiting is not None}
    credits = [line for line in lines if line.credit is not None and line.credits_line_id not in beside]
    second, rest = split_credits(credits, kept)
    return [*(line for line in lines if line not in credits), *rest], second


def _note(
    scope: Scope, steps: Sequence[Step], customer: Customer, at: datetime, lines: Sequence[DraftLine], to: str
) -> CreditNote:
    own: dict[str, list[DraftLine]] = {}
    for line in lines:
        own.setdefault(line.subscription_id or "", []).append(line)
    shared = [evolve(step, lines=tuple(own.pop(step.subscription.id, ()))) for step in steps]
    assert not own, "lines of subscriptions that are not billed here"
    bill = make_bill(shared, customer, scope.site, at, scope.new_id)
    assert bill.note is not None
    return evolve(bill.note, to="refund" if to == "refund" else "credit", reason="unused time")


def _shares(
    scope: Scope, others: Sequence[Allocation], by_credit: int, kept: int
) -> tuple[list[Allocation], list[Allocation]]:
    """What was no payment, as far as it goes back to credit, and what charges take; each part has its own record."""
    credited, taken = kept_of(others, by_credit, kept)
    ids = {one.id for one, _ in credited}
    return [evolve(one, returned=part) for one, part in credited], [
        evolve(one, id=scope.new_id("all"), document_id=None, returned=part)
        if one.id in ids
        else evolve(one, returned=part)
        for one, part in taken
    ]


_OTHERWISE = "Give it as credit (credit = unused); or cancel alone, and payments.refund with external = true."


def _refund(scope: Scope, paid: Sequence[Allocation], amount: int, note: CreditNote) -> None:
    """Give `amount` back to the payments that had paid, in the order in which they are given back, each at once."""
    how = Wish(reason=note.reason, otherwise=_OTHERWISE)
    parts: dict[tuple[str, str], int] = {}
    for one in paid:
        part = min(amount, one.returned)
        amount -= part
        if part and one.source_id is not None:
            key = (one.invoice_id, one.source_id)
            parts[key] = parts.get(key, 0) + part
    billed = invoices.by_ids(scope.tx, [invoice_id for invoice_id, _ in parts])
    for (invoice_id, payment_id), part in parts.items():
        refund_owed(scope, billed[invoice_id], [ToRefund(payment_id, part, note.id)], how)
