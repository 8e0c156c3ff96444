"""What is overdue of a customer is tried again: by a dunning step, by hand, or with another method (behaviour 9.5)."""

from collections.abc import Callable
from typing import Literal

from attrs import evolve

from billcore.commands.methods import next_method
from billcore.commands.overdue import overdue_of
from billcore.commands.scope import Scope
from billcore.domain.customer import PaymentMethod
from billcore.domain.invoice import Invoice
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import subscription as subscriptions

RetryCause = Literal["retry", "new_method", "dunning"]


def retry_overdue(
    scope: Scope,
    customer_id: str,
    cause: RetryCause,
    currency: str | None = None,
    only: Callable[[Invoice], bool] | None = None,
) -> int:
    """Plan an attempt now for every overdue invoice that no attempt is open on; returns how many there are.

    A dunning step leaves out what rests; any other cause takes in what did not reach the gateway. In one `currency`
    only where it is given; with `only` those for which it holds.
    """
    by_itself = cause == "dunning"
    overdue = overdue_of(scope, [customer_id], currency)
    ids = [one.id for one in overdue if one.reserved_by is None and not (by_itself and one.rests)]
    if not by_itself:
        unsent = invoices.not_sent(scope.tx, customer_id)
        ids += [invoice_id for its_currency, invoice_id in unsent if currency in (None, its_currency)]
    found = [one for one in invoices.by_ids(scope.tx, ids, lines=False).values() if one.collection == "automatic"]
    if only is not None:
        found = [one for one in found if only(one)]
    for invoice in found:
        scope.writes.put(evolve(invoice, collect_at=scope.now, collect_for=cause))
    if found:
        scope.collects.add(customer_id)
    return len(found)


def retry_with(scope: Scope, customer_id: str, method: PaymentMethod, subscription_id: str | None = None) -> None:
    """Try a method at once on what is overdue and charged to it by now, of one subscription only where it is given.

    Where one method follows another (setting method_fallback) that is everything.
    """
    if not overdue_of(scope, [customer_id]) and not invoices.not_sent(scope.tx, customer_id):
        return  # Nearly always; and what a refusal may still take back is not written yet.
    scope.flush()  # The method, and whose it is, as this unit of work has made them.
    follows = scope.settings.method_fallback != "none"

    def is_charged_to_it(invoice: Invoice) -> bool:
        if subscription_id not in (None, invoice.subscription_id):
            return False
        charged = None if follows else method_for(scope, invoice)
        return follows or (charged is not None and charged.id == method.id)

    retry_overdue(scope, customer_id, "new_method", only=is_charged_to_it)


def is_overdue(scope: Scope, customer_id: str) -> bool:
    """Whether something that is collected automatically is overdue."""
    return any(one.automatic for one in overdue_of(scope, [customer_id]))


def method_for(scope: Scope, invoice: Invoice) -> PaymentMethod | None:
    """The method that a retry of an invoice would charge now."""
    own = subscriptions.own_methods(scope.tx, [invoice.subscription_id or ""])
    methods = customers.methods(scope.tx, [invoice.customer_id]).get(invoice.customer_id, [])
    due = evolve(invoice, collect_for="dunning")
    owner = customers.by_ids(scope.tx, [invoice.customer_id])[invoice.customer_id]
    return next_method(scope, due, owner, methods, own.get(invoice.subscription_id or ""))
