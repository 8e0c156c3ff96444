"""Payment methods: tokens that a gateway keeps, never card numbers."""

import re
from collections.abc import Callable
from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.attempts import usable_method
from billcore.commands.parameters import CustomerRef, MethodRef, Options, Reference, Text
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.bill import record
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.invoice import Invoice
from billcore.errors import InvalidValue, Refused
from billcore.store import customer as store
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions

CARD_NUMBER = re.compile(r"(?:\d[ -]?){13,19}")


class PaymentMethods(Noun):
    """Payment methods: tokens that a gateway keeps, never card numbers."""

    noun = "payment_methods"

    @verb(collects=True)
    def add(
        self,
        scope: Scope,
        customer: CustomerRef,
        token: Text,
        *,
        gateway: Text = "test",
        kind: Literal["card", "bank_account", "wallet"] = "card",
        reference: Reference | None = None,
        brand: Text | None = None,
        last4: Text | None = None,
        expires_on: Text | None = None,
        **options: Unpack[Options],
    ) -> PaymentMethod:
        """Add a payment method by the token its gateway gave; a customer's first one becomes the default.

        A new default is tried at once on what is overdue (behaviour 9.5). Raises invalid_value for anything that
        looks like a card number (promise P10).
        """
        _refuse_card_number(token)
        _require_gateway(scope, gateway)
        owner = scope.customer(customer)
        method = PaymentMethod(
            scope.new_id("pm"),
            owner.id,
            gateway,
            kind,
            token,
            scope.now,
            reference,
            brand=brand,
            last4=last4,
            expires_on=expires_on,
        )
        if reference is not None and store.method(scope.tx, reference) is not None:
            raise Refused("reference_taken", f"A payment method {reference!r} exists already.")
        scope.writes.add(method)
        record(scope.writes, scope.new_id, owner.id, scope.now, "payment_method.added", method.id)
        if owner.default_method_id is None:
            _make_default(scope, owner, method)
        return method

    @verb(collects=True)
    def set_default(
        self, scope: Scope, customer: CustomerRef, payment_method: MethodRef, **options: Unpack[Options]
    ) -> PaymentMethod:
        """Charge this method from now on; it is tried at once on what is overdue (behaviour 9.5)."""
        owner = scope.customer(customer)
        method = scope.payment_method(owner, payment_method)
        if method.status != "active":
            raise Refused(
                "transition_not_allowed",
                f"Payment method {payment_method} is disabled.",
                remedy="Disabled methods can only be removed.",
                state=method.status,
            )
        _make_default(scope, owner, method)
        return method

    @verb()
    def remove(
        self, scope: Scope, customer: CustomerRef, payment_method: MethodRef, **options: Unpack[Options]
    ) -> PaymentMethod:
        """Remove a payment method here; the gateway keeps its own. The default falls to the oldest other one."""
        owner = scope.customer(customer)
        method = scope.payment_method(owner, payment_method)
        if owner.default_method_id == method.id:
            others = [
                other
                for other in store.methods(scope.tx, [owner.id]).get(owner.id, [])
                if other.id != method.id and other.status == "active"
            ]
            scope.writes.put(evolve(owner, default_method_id=others[0].id if others else None))
        store.remove_method(scope.tx, method)
        record(scope.writes, scope.new_id, owner.id, scope.now, "payment_method.removed", method.id)
        return method

    @verb(reads=True)
    def list(self, scope: Scope, customer: CustomerRef) -> list[PaymentMethod]:
        """The customer's payment methods, oldest first."""
        owner = scope.customer(customer)
        return store.methods(scope.tx, [owner.id]).get(owner.id, [])


def _make_default(scope: Scope, owner: Customer, method: PaymentMethod) -> None:
    if owner.default_method_id == method.id:
        return
    scope.writes.put(evolve(owner, default_method_id=method.id))
    cases = payments.open_cases(scope.tx, [owner.id])
    for case in cases.values():
        scope.writes.put(evolve(case, refused_method_id=None))
    retry_overdue(scope, owner.id, "new_method")


def retry_overdue(
    scope: Scope,
    customer_id: str,
    cause: Literal["retry", "new_method", "dunning"],
    currency: str | None = None,
    usable: Callable[[PaymentMethod], bool] | None = None,
) -> int:
    """Plan an attempt now for every overdue invoice that no attempt is open on; returns how many there are.

    So too for one whose attempt did not reach the gateway. In one `currency` only where it is given; with
    `usable` only those that have a method for which it holds.
    """
    overdue = invoices.overdue(scope.tx, [customer_id])
    wanted = [(its_currency, invoice_id) for _, its_currency, invoice_id, reserved_by in overdue if reserved_by is None]
    if cause != "dunning":
        wanted += invoices.not_sent(scope.tx, customer_id)
    ids = [invoice_id for its_currency, invoice_id in wanted if currency in (None, its_currency)]
    found = [one for one in invoices.by_ids(scope.tx, ids, lines=False).values() if one.collection == "automatic"]
    if usable is not None:
        found = [one for one in found if _has_usable(scope, one, usable)]
    for invoice in found:
        scope.writes.put(evolve(invoice, collect_at=scope.now, collect_for=cause))
    if found:
        scope.collects.add(customer_id)
    return len(found)


def _has_usable(scope: Scope, invoice: Invoice, usable: Callable[[PaymentMethod], bool]) -> bool:
    own = subscriptions.own_methods(scope.tx, [invoice.subscription_id or ""])
    methods = store.methods(scope.tx, [invoice.customer_id]).get(invoice.customer_id, [])
    method = usable_method(methods, scope.customer(invoice.customer_id), own.get(invoice.subscription_id or ""))
    return method is not None and usable(method)


def _require_gateway(scope: Scope, name: str) -> None:
    installed = scope.gateways()
    if name not in installed:
        raise InvalidValue(
            f"No gateway is named {name!r}.",
            remedy=f"Installed: {', '.join(installed) or 'none'}. See billcore plugins.",
            parameter="gateway",
        )


def _refuse_card_number(token: str) -> None:
    if CARD_NUMBER.search(token):
        raise InvalidValue(
            "This token looks like a card number.",
            remedy="Give the token that the gateway made of it; billcore never stores card numbers.",
            parameter="token",
        )
