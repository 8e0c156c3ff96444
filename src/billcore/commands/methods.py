"""Which of a customer's payment methods an invoice is charged to, and which one after a decline (behaviour 9.5)."""

from collections.abc import Sequence

from billcore.commands.attempts import usable_method
from billcore.commands.scope import Scope
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.invoice import Invoice
from billcore.domain.payment import Cause, Chain, Outcome, Payment, chain_of
from billcore.domain.receivable import Account, Receivable
from billcore.domain.values import evolve
from billcore.store import customer as customers
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions

BY_HAND: tuple[Cause, ...] = ("retry", "new_method")
"""Why a method is tried that was refused for good: somebody asked for it."""


def in_order(methods: Sequence[PaymentMethod], customer: Customer, own: str | None) -> list[PaymentMethod]:
    """Those that can be charged: the subscription's `own` by id, the default, then the others in their order."""
    first = (own, customer.default_method_id)
    usable = [one for one in methods if one.status == "active"]
    return sorted(usable, key=lambda one: first.index(one.id) if one.id in first else len(first))


def next_method(
    scope: Scope,
    invoice: Invoice,
    customer: Customer,
    methods: Sequence[PaymentMethod],
    own: str | None,
    route: Sequence[str] = (),
) -> PaymentMethod | None:
    """The method to charge an invoice to now; None where there is none (left).

    `route` are the ids of methods that plugins chose, in their order. Without method_fallback it is the first of
    them, or the one that is preferred; with it, the first one of all that was not tried in this chain of attempts and
    was not refused for good.
    """
    if scope.settings.method_fallback == "none" and not route:
        return usable_method(list(methods), customer, own)
    follows = scope.settings.method_fallback != "none"
    if not follows and not route:
        return usable_method(methods, customer, own)
    usable = in_order(methods, customer, own)
    routed = [one for wanted in route for one in usable if one.id == wanted]
    if not follows:
        return routed[0] if routed else usable_method(methods, customer, own)
    tried = chain(scope, invoice).tried if invoice.collect_for == "fallback" else frozenset()
    left = [one for one in routed or usable if one.id not in tried]
    willing = [one for one in left if one.refused_at is None]
    if willing:
        return willing[0]
    return left[0] if left and invoice.collect_for in BY_HAND else None


def chain(scope: Scope, invoice: Invoice) -> Chain:
    """The attempts on an invoice that followed each other at once, up to the newest."""
    return chain_of(payments.of_invoice(scope.tx, invoice.id))


def with_chain(scope: Scope, payment: Payment, affair: Receivable, outcome: Outcome) -> Account:
    """The account with what a decline, or an approval of a part, is followed by: another method at once, or nothing."""
    invoice = affair.invoice
    less = outcome.kind in ("declined", "canceled") or (outcome.kind == "approved" and outcome.amount < invoice.due)
    if scope.settings.method_fallback == "none" or invoice.status != "open" or not less:
        return affair.account
    made = chain(scope, invoice)
    more = invoice.collection == "automatic" and _is_left(scope, payment, invoice, made)
    return evolve(affair.account, chain=made, more=more)


def ends_retries(payment: Payment, account: Account) -> bool:
    """Whether a decline stops the customer's other retries: it ended one, and no other method is left (9.5)."""
    cause = account.chain.cause if account.chain is not None else payment.cause
    return cause in ("dunning", "retry", "new_method") and not account.more


def _is_left(scope: Scope, payment: Payment, invoice: Invoice, made: Chain) -> bool:
    customer = scope.customer(payment.customer_id)
    methods = customers.methods(scope.tx, [customer.id]).get(customer.id, [])
    own = subscriptions.own_methods(scope.tx, [invoice.subscription_id] if invoice.subscription_id else [])
    usable = in_order(methods, customer, own.get(invoice.subscription_id or ""))
    return any(one.id not in made.tried and one.refused_at is None for one in usable)
