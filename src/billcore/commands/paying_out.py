"""Pays out what a customer has here: a prepayment, or what credit notes owe him (behaviour 10)."""

from billcore.commands.prepaid import not_used_up
from billcore.commands.receivables import held_credits
from billcore.commands.refunding import leased, till_of
from billcore.commands.scope import Scope
from billcore.domain.credit import Credit, CreditAccount, draw
from billcore.domain.customer import Customer
from billcore.domain.money import Money
from billcore.domain.payment import BY_HAND, Payment
from billcore.domain.refund import Refund, RefundTo, left_of
from billcore.domain.refunding import paid_outside
from billcore.errors import Refused
from billcore.plugins.gateway import Capability
from billcore.store import crediting
from billcore.store import payment as payments
from billcore.store import refund as refunds

_CALLED = {"prepayments": "prepayment", "credits": "credit of credit notes"}


def pay_out(
    scope: Scope,
    owner: Customer,
    currency: str,
    account: CreditAccount,
    amount: int,
    to: RefundTo,
    reason: str | None,
) -> list[Refund]:
    """Take `amount` from one account of a customer, the oldest first, and give it back to where it came from.

    Raises insufficient_credit for more than there is, or than prepaid subscriptions have left of it.
    """
    everything = held_credits(scope, owner.id, currency)
    held = [one for one in everything if one.account == account]
    there = not_used_up(scope, owner.id, currency, held)
    if there < amount:
        raise _short(owner, currency, account, amount, there, everything)
    made = []
    for drawing in draw(amount, held, scope.now):
        scope.writes.put(drawing.credit)
        made += _of_credit(scope, drawing.credit, drawing.amount, to, reason)
    return made


def _of_credit(scope: Scope, credit: Credit, amount: int, to: RefundTo, reason: str | None) -> list[Refund]:
    """Refunds of the payments that are behind a credit, the newest first; what has none behind it goes outside."""
    note_id, behind = _behind(scope, credit)
    made = []
    for payment, most in behind:
        till = till_of(scope, payment, None)
        part = min(amount, most, left_of(till.payment, till.refunds))
        if part > 0:
            made.append(leased(scope, till.pay_out(credit, part, _way(scope, payment, to), note_id, reason)))
            amount -= part
    if amount:
        made.append(paid_outside(credit, amount, note_id, reason, scope.now, scope.writes, scope.new_id))
    return made


def _behind(scope: Scope, credit: Credit) -> tuple[str | None, list[tuple[Payment, int]]]:
    """The credit note that a credit stems from, and the payments that are behind it, each with its most."""
    source = credit.source_id or ""
    if credit.account == "prepayments" and (paid := payments.get(scope.tx, source)) is not None:
        return None, [(paid, credit.amount)]
    if (failed := refunds.get(scope.tx, source)) is not None:
        return failed.credit_note_id, [(payments.by_ids(scope.tx, [failed.charge])[failed.charge], credit.amount)]
    paying: dict[str, int] = {}
    for one in crediting.returned_for(scope.tx, [credit.customer_id], [source]):
        if one.account == "payments" and one.source_id is not None:
            paying[one.source_id] = paying.get(one.source_id, 0) + one.returned
    for refund in (one for of in refunds.of_payments(scope.tx, paying).values() for one in of):
        if refund.credit_id == credit.id:
            paying[refund.charge] -= refund.amount
    found = payments.by_ids(scope.tx, paying)
    return source, [(found[payment_id], paying[payment_id]) for payment_id in sorted(found, reverse=True)]


def _way(scope: Scope, payment: Payment, to: RefundTo) -> RefundTo:
    """To the method only through a gateway that gives money back; otherwise outside (behaviour 10)."""
    if payment.gateway == BY_HAND or Capability.REFUND not in scope.capabilities(payment.gateway):
        return "external"
    return to


def _short(
    owner: Customer, currency: str, account: CreditAccount, amount: int, there: int, everything: list[Credit]
) -> Refused:
    held = sum(one.remaining for one in everything if one.account == account)
    gifts = sum(one.remaining for one in everything if one.account == "service_credits")
    said = [f"Customer {owner.reference} has {Money(held, currency)} of {_CALLED[account]}"]
    if there < held:
        said.append(f"{Money(held - there, currency)} of it are used and not billed yet")
    if gifts:
        said.append(f"{Money(gifts, currency)} of service credit are a gift and never paid out")
    return Refused(
        "insufficient_credit",
        "; ".join(said) + ".",
        remedy=f"Pay out at most {Money(there, currency)}." if there else "There is nothing to pay out.",
        asked=amount,
        most=there,
    )
