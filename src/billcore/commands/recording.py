"""Money that came in outside of gateways: a payment, what of it pays which invoices, the rest in advance (9.8)."""

from collections.abc import Sequence
from datetime import datetime

from billcore.commands.prepaid import money_came
from billcore.commands.receivables import apply_to_open, settle, written
from billcore.commands.referrals import thank_referrers
from billcore.commands.scope import Scope
from billcore.domain import ledger
from billcore.domain.bill import post, record
from billcore.domain.credit import Allocation, Credit
from billcore.domain.customer import Customer
from billcore.domain.invoice import Invoice
from billcore.domain.money import Money
from billcore.domain.payment import BY_HAND, Payment
from billcore.errors import InvalidValue, Refused
from billcore.store import crediting

Shares = Sequence[tuple[Invoice, int]]
"""Invoices with what a payment pays of each, in minor units."""


def receive(
    scope: Scope,
    customer: Customer,
    currency: str,
    amount: int,
    shares: Shares,
    method: str | None,
    date: datetime | None,
) -> Payment:
    """Record `amount` minor units that came in at `date` (None: now): it pays `shares`, the rest is prepayment.

    Whoever has nothing overdue any more is active again. Raises InvalidValue for a date to come.
    """
    if date is not None and date > scope.now:
        raise InvalidValue(
            f"{date:%Y-%m-%d} has not come yet.", remedy="Record a payment when it is there.", parameter="date"
        )
    payment_id = scope.new_id("pay")
    payment = Payment(
        payment_id,
        customer.id,
        None,
        0,
        f"{scope.installation}:{payment_id}:0",
        "recorded",
        amount,
        currency,
        BY_HAND,
        None,
        "{}",
        "succeeded",
        date or scope.now,
        captured=amount,
        applied=sum(part for _, part in shares),
        method=method,
        settled_at=scope.now,
    )
    scope.writes.add(payment)
    for invoice, part in shares:
        _pay(scope, payment, invoice, part)
    if amount > payment.applied:
        _keep(scope, payment, amount - payment.applied)
    record(scope.writes, scope.new_id, customer.id, scope.now, "payment.succeeded", payment_id, amount=amount)
    thank_referrers(scope)
    money_came(scope, customer.id, currency)
    return payment


def _keep(scope: Scope, payment: Payment, rest: int) -> None:
    """What pays no invoice is the customer's prepayment."""
    owner, currency = payment.customer_id, payment.currency
    scope.writes.add(
        Credit(scope.new_id("crd"), owner, "prepayments", currency, rest, rest, scope.now, source_id=payment.id)
    )
    _post(scope, payment, [(ledger.cash(BY_HAND), ledger.PREPAYMENTS, rest)], None)
    apply_to_open(scope, owner, currency)


def oldest_first(scope: Scope, customer: Customer, currency: str, amount: int) -> Shares:
    """`amount` minor units over the customer's open invoices, the one that fell due first first.

    Invoices with an attempt under way are passed over: nobody knows yet whether they are paid.
    """
    shares = []
    for stored in crediting.still_due(scope.tx, customer.id, currency):
        invoice = written(scope, stored)
        part = min(amount, invoice.due)
        if part > 0:
            shares.append((invoice, part))
            amount -= part
    return shares


def named(customer: Customer, currency: str, amount: int, shares: Shares) -> Shares:
    """`shares` as a caller named them; raises where they do not fit the customer, the amount or what is due."""
    for invoice, part in shares:
        called = invoice.number_text or invoice.id
        if invoice.customer_id != customer.id:
            raise InvalidValue(
                f"Invoice {called} is not one of customer {customer.reference}.",
                remedy="Name invoices of the customer who paid.",
                parameter="invoices",
            )
        if invoice.currency != currency:
            raise Refused(
                "currency_mismatch",
                f"Invoice {called} is in {invoice.currency}, the payment in {currency}.",
                remedy="Record a payment for each currency.",
                parameter="invoices",
            )
        invoice.after("pay", "paid")
        if part > invoice.due:
            raise _exceeds(f"Of invoice {called} {Money(invoice.due, currency)} are due", part, invoice.due, currency)
    whole = sum(part for _, part in shares)
    if whole > amount:
        raise _exceeds(f"The payment is over {Money(amount, currency)}", whole, amount, currency)
    return shares


def _exceeds(what: str, asked: int, most: int, currency: str) -> Refused:
    return Refused(
        "amount_exceeds",
        f"{what}, not {Money(asked, currency)}.",
        remedy=f"Name at most {Money(most, currency)}; what is more becomes a prepayment by itself.",
        asked=asked,
        most=most,
    )


def _pay(scope: Scope, payment: Payment, invoice: Invoice, part: int) -> None:
    scope.writes.add(
        Allocation(
            scope.new_id("all"),
            payment.customer_id,
            invoice.id,
            payment.currency,
            "payments",
            payment.id,
            scope.now,
            part,
        )
    )
    movements = ledger.collected(ledger.cash(BY_HAND), part, written_off=invoice.status == "uncollectible")
    _post(scope, payment, movements, invoice.id)
    settle(scope, invoice, "pay", paid=part)


def _post(scope: Scope, payment: Payment, movements: list[tuple[str, str, int]], invoice_id: str | None) -> None:
    post(
        scope.writes,
        scope.new_id,
        payment.customer_id,
        scope.now,
        payment.currency,
        movements,
        invoice_id=invoice_id,
        payment_id=payment.id,
    )
