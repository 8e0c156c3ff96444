"""Documents of a cancellation that is refunded: to the payments, and to credit what they had not paid (6.2)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from billcore.commands.bill import number_notes, write_step
from billcore.commands.crediting import ToRefund
from billcore.commands.receivables import apply_to_open
from billcore.commands.refunding import Wish, refund_owed
from billcore.commands.returning import give_back
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now
from billcore.commands.unused import split_credits
from billcore.domain.bill import issue_note, make_bill, use_coupons
from billcore.domain.credit import Allocation
from billcore.domain.customer import Customer
from billcore.domain.draft import DraftLine
from billcore.domain.invoice import CreditNote
from billcore.domain.step import Step
from billcore.domain.values import NewId
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
    beside = {line.id for line in bill.note.lines}
    given = -sum(line.total for line in bill.note.lines if (line.credits_line_id or line.id) not in beside)
    charged = given - bill.note.total
    # Charges take what is no money of the customer's first (behaviour 3.5).
    kept = max(0, sum(one.returned for one in others) - charged)
    refunded = bill.note.total - kept
    lines = [line for step in steps for line in step.lines]
    first, second = _parted(lines, kept)
    notes = []
    if refunded:
        notes.append(_note(scope, steps, customer, at, first, "refund"))
        give_back(scope, [*paid, *_but(others, kept)], notes[0].id, 0)
        issue_note(notes[0], at, scope.writes, scope.new_id)
    if kept:
        note = _note(scope, steps, customer, at, second if refunded else lines, "credit")
        restored = give_back(scope, _last(others, kept, scope.new_id) if refunded else bill.returned, note.id, kept)
        issue_note(note, at, scope.writes, scope.new_id, restored)
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


def _but(others: Sequence[Allocation], kept: int) -> list[Allocation]:
    """What the charges take of these: all but `kept`, which lies at their end."""
    left = sum(one.returned for one in others) - kept
    made = []
    for one in others:
        part = min(left, one.returned)
        left -= part
        if part:
            made.append(evolve(one, returned=part))
    return made


def _last(others: Sequence[Allocation], kept: int, new_id: NewId) -> list[Allocation]:
    """The `kept` at the end of these; a part of one is a record of its own."""
    taken = sum(one.returned for one in others) - kept
    made = []
    for one in others:
        part = min(taken, one.returned)
        taken -= part
        if one.returned > part:
            made.append(evolve(one, id=new_id("all") if part else one.id, returned=one.returned - part))
    return made


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
