"""Setting what a payer owes: a charge that waits, or credit notes, with a reason (behaviour 8.7)."""

from decimal import Decimal

from attrs import evolve, frozen

from billcore.commands.bill import number, number_notes
from billcore.commands.crediting import credit_invoice
from billcore.commands.receivables import apply_to_open, held_credits, written
from billcore.commands.scope import Scope
from billcore.domain.bill import issue, issue_note, make_bill, note_by_hand
from billcore.domain.compact import compact
from billcore.domain.extra import ExtraLine, extra_line
from billcore.domain.invoice import CreditNote, Invoice, Line
from billcore.domain.money import Money
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.store import crediting
from billcore.store.balance import balances


@frozen
class Adjustment:
    """What setting a balance made: it stood at `before` and is `after`, in minor units of `currency`."""

    customer_id: str
    currency: str
    before: int
    after: int
    invoice: Invoice | None
    credit_notes: tuple[CreditNote, ...]


def adjust(scope: Scope, sub: Subscription, *, target: int | None, by: int | None, reason: str) -> Adjustment:
    """Move the balance of a subscription's payer, in its currency, to `target` or by `by` minor units.

    The balance is what open invoices are due, less credit-note credits and prepayments. Nothing is made where it is
    the target already.
    """
    customer = scope.customer(sub.customer_id)
    before = _balance(scope, customer.id, sub.currency)
    after = target if target is not None else before + (by or 0)
    invoice: Invoice | None = None
    notes: tuple[CreditNote, ...] = ()
    if after > before:
        invoice = _charge(scope, sub, after - before, reason)
    elif after < before:
        notes = _give(scope, sub, before - after, reason)
    return Adjustment(customer.id, sub.currency, before, after, invoice, notes)


def _balance(scope: Scope, customer_id: str, currency: str) -> int:
    for one in balances(scope.tx, [customer_id], scope.now):
        if one.currency == currency:
            return one.due - one.credit - one.prepayment
    return 0


def _charge(scope: Scope, sub: Subscription, amount: int, reason: str) -> Invoice:
    """An invoice over exactly `amount`: no coupon and no tax changes it, and nothing but the balance itself pays it."""
    line = extra_line(ExtraLine(reason, Money(amount, sub.currency)), sub.currency, sub, taxable=False)
    step = Step(evolve(sub, coupons=()), sub, "ad_hoc", (line,))
    bill = make_bill([step], scope.customer(sub.customer_id), scope.site, scope.now, scope.new_id)
    assert bill.invoice is not None
    # It falls due with what comes next: collected at once it would not be owed any more.
    draft = evolve(bill.invoice, collect_at=sub.next_action_at)
    own = [one for one in held_credits(scope, sub.customer_id, sub.currency) if one.account != "service_credits"]
    issued = issue(draft, own, 0, scope.now, False, scope.site, scope.writes, scope.new_id)
    planned = evolve(
        issued,
        due_at=sub.next_action_at or issued.due_at,
        collect_at=issued.collect_at if issued.due else None,
    )
    number(scope, [planned])
    return written(scope, planned)


def _give(scope: Scope, sub: Subscription, amount: int, reason: str) -> tuple[CreditNote, ...]:
    """Credit notes over `amount`: to the open invoices, the oldest first, and the rest as a credit."""
    notes: list[CreditNote] = []
    left = amount
    for stored in crediting.still_due(scope.tx, sub.customer_id, sub.currency):
        part = min(left, written(scope, stored).due)
        if part > 0:
            notes += credit_invoice(scope, stored, to="invoice", amount=part, reason=reason).notes
            left -= part
    if left:
        notes.append(_credit(scope, sub, left, reason))
    return tuple(written(scope, note) for note in notes)


def _credit(scope: Scope, sub: Subscription, amount: int, reason: str) -> CreditNote:
    drafted = extra_line(ExtraLine(reason, Money(-amount, sub.currency)), sub.currency, sub, taxable=False)
    line = Line(
        scope.new_id("lin"),
        None,
        None,
        sub.customer_id,
        sub.id,
        None,
        "credit",
        None,
        None,
        reason,
        None,
        None,
        Decimal(1),
        drafted.amount,
        0,
        0,
        0,
        compact({**drafted.basis, "untaxed": "not_taxable"}),
    )
    note = note_by_hand([line], sub.customer_id, sub.id, sub.currency, reason, scope.now, scope.new_id)
    issue_note(note, scope.now, scope.writes, scope.new_id)
    number_notes(scope)
    apply_to_open(scope, sub.customer_id, sub.currency)
    return note
