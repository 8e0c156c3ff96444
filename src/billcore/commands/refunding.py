"""Makes refunds: checks that money may be given back, and stores each with its exact request (behaviour 9.6)."""

from collections.abc import Sequence

from attrs import frozen

from billcore.commands.attempts import FIRST_CHECK
from billcore.commands.crediting import ToRefund, credit_invoice
from billcore.commands.receivables import require_no_doubt, written
from billcore.commands.returning import billed_of
from billcore.commands.scope import Scope
from billcore.domain.customer import Customer
from billcore.domain.invoice import CreditTo, Invoice
from billcore.domain.money import Money
from billcore.domain.payment import BY_HAND, IN_DOUBT, Payment
from billcore.domain.periods import add
from billcore.domain.receivable import Account, Receivable
from billcore.domain.refund import Refund, RefundCause, RefundTo, left_of
from billcore.domain.refunding import REFUNDABLE, Till
from billcore.domain.values import evolve
from billcore.errors import InvalidValue, Refused
from billcore.plugins.gateway import Capability
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import refund as refunds

BY_WORD = "Pay it back outside (to = external), or give it as credit (to = credit)."
"""What `refunds` can do where a gateway gives nothing back."""


@frozen
class Wish:
    """How money is to be given back: where to, and whether a credit note says so (else its invoice is open again).

    `otherwise` says how else the verb can do it, where the gateway of the payment gives nothing back.
    """

    to: RefundTo = "method"
    credit: bool = True
    reason: str | None = None
    otherwise: str = "Pay it back outside (external = true), or give it as credit (to = credit)."


def wish(to: RefundTo, external: bool, credit: bool, reason: str | None) -> Wish:
    """The wish that a verb's parameters mean; raises InvalidValue where they contradict each other."""
    if external and to == "credit":
        raise InvalidValue("A refund goes outside or to credit, not both.", remedy="Leave one out.", parameter="to")
    if to == "credit" and not credit:
        raise InvalidValue(
            "What is given as credit needs its credit note: without one the invoice would be open and owe it at once.",
            remedy="Leave credit at true, or refund to the method.",
            parameter="credit",
        )
    return Wish("external" if external else to, credit, reason)


def refund_payment(scope: Scope, payment: Payment, invoice: Invoice, amount: int | None, wish: Wish) -> Refund:
    """Give `amount` of what a payment paid of an invoice back, or all of it that is left.

    Raises transition_not_allowed where no money was taken, payment_in_doubt while an attempt is open,
    unsupported_capability where its gateway cannot, amount_exceeds.
    """
    require_money(payment)
    invoice = _lined(scope, invoice)
    require_no_doubt(scope, invoice)
    require_way(scope, payment, wish.to, wish.otherwise)
    most = _most(scope, payment, invoice, wish)
    if not most or (amount is not None and amount > most):
        raise exceeds(payment, amount, most)
    if wish.credit:
        note_to: CreditTo = "credit" if wish.to == "credit" else "refund"
        wanted = most if amount is None else amount
        credited = credit_invoice(scope, invoice, to=note_to, amount=wanted, payment_id=payment.id, reason=wish.reason)
        if wish.to == "credit":
            (note,) = credited.notes
            return _promised(scope, payment, invoice, note.total, wish, "refund", note.id)
        (made,) = refund_owed(scope, invoice, credited.refunds, wish, cause="refund")
        return made
    return _promised(scope, payment, invoice, amount or most, wish, "refund", None)


def refund_owed(
    scope: Scope, invoice: Invoice, owed: Sequence[ToRefund], wish: Wish, *, cause: RefundCause = "credit_note"
) -> list[Refund]:
    """The refunds that credit notes to refund ask for; what was paid by hand is booked as given back by hand."""
    made = []
    for one in owed:
        payment = payments.by_ids(scope.tx, [one.payment_id])[one.payment_id]
        by_hand = evolve(wish, to="external") if payment.gateway == BY_HAND and wish.to == "method" else wish
        require_way(scope, payment, by_hand.to, by_hand.otherwise)
        made.append(_promised(scope, payment, invoice, one.amount, by_hand, cause, one.credit_note_id))
    return made


def spread(
    scope: Scope, owner: Customer, currency: str, amount: int, invoice: Invoice | None, wish: Wish
) -> list[Refund]:
    """Give `amount` back over a customer's payments, of one invoice where it is named: the newest first.

    Raises as refund_payment; payments and invoices in doubt are passed over where no invoice is named.
    """
    made: list[Refund] = []
    left = amount
    for payment in refunds.refundable(scope.tx, owner.id, currency):
        for billed in _billed(scope, payment, invoice):
            part = min(left, _most(scope, payment, billed, wish)) if left else 0
            if part:
                made.append(refund_payment(scope, payment, billed, part, wish))
                left -= part
    if left:
        of = f"invoice {invoice.number_text or invoice.id}" if invoice is not None else f"customer {owner.reference}"
        most = Money(amount - left, currency)
        raise Refused(
            "amount_exceeds",
            f"Of the payments of {of} {most} are left to give back, not {Money(amount, currency)}.",
            remedy=f"Give back at most {most}." if made else "Nothing more can be given back.",
            asked=amount,
            most=amount - left,
        )
    return made


def invoice_of(scope: Scope, payment: Payment) -> Invoice:
    """The invoice that a payment pays; raises InvalidValue where it was recorded for several or for none."""
    paid = refunds.paid_by(scope.tx, payment)
    if len(paid) == 1:
        return invoices.by_ids(scope.tx, paid)[paid[0]]
    raise InvalidValue(
        f"Payment {payment.id} pays {len(paid)} invoices.",
        remedy="Name the one whose money is given back: refunds.create(customer, amount, invoice=...)."
        if paid
        else "What it paid in advance is the customer's prepayment: prepayments.refund(customer, amount).",
        parameter="payment",
    )


def till_of(scope: Scope, payment: Payment, invoice: Invoice | None) -> Till:
    """The payment's till, with everything that this unit of work has made of it so far."""
    stored = refunds.of_payments(scope.tx, [payment.id]).get(payment.id, ())
    mine = [one for one in scope.writes.new(Refund) if isinstance(one, Refund) and one.payment_id == payment.id]
    known = tuple(written(scope, one) for one in stored)
    receivable = None
    if invoice is not None:
        account = Account(scope.zone(scope.customer(invoice.customer_id)))
        receivable = Receivable(written(scope, invoice), account, scope.site, scope.now, scope.writes, scope.new_id)
    return Till(written(scope, payment), (*known, *mine), receivable, scope.now, scope.writes, scope.new_id)


def stored(scope: Scope, result: object) -> object:
    """Refunds as they are stored by now: what a verb answers after their gateways did."""
    if isinstance(result, Refund):
        return refunds.get(scope.tx, result.id) or result
    return [stored(scope, one) for one in result] if isinstance(result, (list, tuple)) else result


def leased(scope: Scope, refund: Refund) -> Refund:
    """The refund as this process sends it after the commit; inside a host's transaction a worker does."""
    if refund.to != "method" or scope.lease is None:
        return refund
    owner, until = scope.lease
    first_check = add(scope.now, FIRST_CHECK, "UTC")
    sent = evolve(refund, sends=1, sent_at=scope.now, lease_owner=owner, lease_until=until, next_check_at=first_check)
    scope.writes.put(sent)
    scope.sends.append(sent)
    return sent


def exceeds(payment: Payment, amount: int | None, most: int) -> Refused:
    """The refusal of more than a payment has left."""
    left = Money(most, payment.currency)
    asked = f"{Money(amount, payment.currency)} cannot be given back of it" if amount is not None else ""
    return Refused(
        "amount_exceeds",
        f"Of payment {payment.id} {left} are left{'; ' if asked else ''}{asked}.",
        remedy=f"Give back at most {left}." if most else "Nothing more can be given back.",
        payment=payment.id,
        asked=amount,
        most=most,
    )


def _promised(
    scope: Scope,
    payment: Payment,
    invoice: Invoice,
    amount: int,
    wish: Wish,
    cause: RefundCause,
    note_id: str | None,
) -> Refund:
    till = till_of(scope, payment, invoice)
    return leased(scope, till.promise(amount, wish.to, cause, note_id=note_id, reason=wish.reason))


def _most(scope: Scope, payment: Payment, invoice: Invoice, wish: Wish) -> int:
    """What of the payment may be given back: not given back before, and still paying this invoice.

    A credit note gives back no more than other notes have left of the invoice's lines.
    """
    till = till_of(scope, payment, invoice)
    billed = billed_of(scope, invoice)
    paying = sum(one.left for one in billed.sources if one.id == payment.id)
    most = min(left_of(till.payment, till.refunds), paying)
    return max(0, min(most, billed.creditable) if wish.credit else most)


def _billed(scope: Scope, payment: Payment, wanted: Invoice | None) -> list[Invoice]:
    """The invoices that a payment pays, with their lines, as they are by now: of one only where it is named."""
    ids = refunds.paid_by(scope.tx, payment) if payment.cause != "top_up" else []
    found = [
        _lined(scope, one) for one in invoices.by_ids(scope.tx, ids).values() if wanted is None or one.id == wanted.id
    ]
    if wanted is not None:
        return found
    return [one for one in reversed(found) if one.reserved_by is None and payment.status in REFUNDABLE]


def _lined(scope: Scope, invoice: Invoice) -> Invoice:
    """The invoice as this unit of work has made it so far, with its lines."""
    now = written(scope, invoice)
    if now.lines:
        return now
    return evolve(now, lines=invoices.by_ids(scope.tx, [now.id])[now.id].lines)


def require_money(payment: Payment) -> None:
    """Refuse to give back of a payment that took nothing, or may not have, and of what became a prepayment."""
    if payment.cause == "top_up" and payment.status in REFUNDABLE:
        raise Refused(
            "transition_not_allowed",
            f"Payment {payment.id} topped a prepayment up: it pays no invoice by itself.",
            remedy="Pay out what is left of the prepayment: prepayments.refund(customer, amount).",
            state=payment.status,
        )
    if payment.status in IN_DOUBT:
        raise Refused(
            "payment_in_doubt",
            f"Payment {payment.id} is {payment.status}: nobody knows yet whether money was taken.",
            remedy="Repeat the command when the outcome is known.",
            payment=payment.id,
            next_check_at=payment.next_check_at,
        )
    if payment.status not in REFUNDABLE:
        raise Refused(
            "transition_not_allowed",
            f"Payment {payment.id} is {payment.status}; there is nothing to give back.",
            remedy="Only payments that succeeded are refunded.",
            state=payment.status,
            payment=payment.id,
        )


def require_way(scope: Scope, payment: Payment, to: RefundTo, otherwise: str) -> None:
    """Refuse a refund to the method that its gateway cannot make, before anything is stored: `otherwise` is the way."""
    if to != "method":
        return
    if payment.gateway == BY_HAND or Capability.REFUND not in scope.capabilities(payment.gateway):
        raise Refused(
            "unsupported_capability",
            f"Payment {payment.id} came through {payment.gateway}, which gives nothing back.",
            remedy=otherwise,
            payment=payment.id,
            gateway=payment.gateway,
        )
