"""Payment methods: tokens that a gateway keeps, never card numbers."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Unpack

from attrs import evolve

from billcore.commands import vault
from billcore.commands.desk import Desk
from billcore.commands.parameters import (
    Code,
    CustomerRef,
    Decimals,
    Flag,
    MethodRef,
    MethodRefs,
    Month,
    Options,
    Reference,
    Text,
)
from billcore.commands.retries import is_overdue, retry_with
from billcore.commands.scope import Scope
from billcore.commands.vault import HostedLink
from billcore.commands.verb import Definition, Noun, verb
from billcore.domain.bill import record
from billcore.domain.customer import Customer, PaymentMethod
from billcore.errors import InvalidValue, Refused
from billcore.plugins.gateway import Capability, MethodNotFound, Page, Vaulted
from billcore.store import customer as store
from billcore.store import payment as payments

_ASKED: Mapping[str, Callable[[Desk, Mapping[str, Any]], object]] = {
    "add": vault.keep,
    "link": vault.page,
    "verify": vault.confirm,
    "refresh": vault.describe,
    "remove": vault.detach,
}


class PaymentMethods(Noun):
    """Payment methods: tokens that a gateway keeps, never card numbers."""

    noun = "payment_methods"

    def ask(self, definition: Definition, arguments: Mapping[str, Any], desk: Desk) -> object:
        """What the method's gateway answers to the verb."""
        return _ASKED[definition.name](desk, arguments)

    @verb(collects=True, asks=True)
    def add(
        self,
        scope: Scope,
        customer: CustomerRef,
        token: Code,
        *,
        gateway: Text | None = None,
        kind: Literal["card", "bank_account", "wallet"] = "card",
        reference: Reference | None = None,
        gateway_customer: Text | None = None,
        brand: Text | None = None,
        last4: Text | None = None,
        expires_on: Month | None = None,
        **options: Unpack[Options],
    ) -> PaymentMethod:
        """Add a payment method by the token its gateway gave; a customer's first one becomes the default.

        So does one that is added while something is overdue, and it is tried at once on that (behaviour 9.5). Without
        a `gateway` it is for the one that is configured, for the test gateway where none is. One with a vault keeps it
        first, for the customer it has there (`gateway_customer`, else the one of his other methods, else a new one),
        and tells brand, last digits and expiry itself. Raises payment_method_refused, and invalid_value for anything
        that looks like a card number (promise P10).
        """
        named = vault.meant(scope, gateway)
        given = {
            "customer": customer,
            "token": token,
            "gateway": named,
            "reference": reference,
            "gateway_customer": gateway_customer,
            "brand": brand,
            "last4": last4,
            "expires_on": expires_on,
        }
        kept = scope.answer if isinstance(scope.answer, Vaulted) else None
        owner = vault.may_add(scope, given, again=kept is not None)
        if kept is None and gateway_customer is None and not scope.dry:
            _refuse_unkept(scope, named)
        method = PaymentMethod(
            scope.new_id("pm"),
            owner.id,
            named,
            kind,
            token,
            scope.now,
            reference,
            gateway_customer=gateway_customer,
            brand=brand,
            last4=last4,
            expires_on=expires_on,
        )
        if kept is not None:
            return keep(scope, owner, vault.described(method, kept))
        return keep(scope, owner, method) if gateway_customer is not None else _new(scope, owner, method)

    @verb(asks=True)
    def link(
        self, scope: Scope, customer: CustomerRef, gateway: Text, return_url: Text, **options: Unpack[Options]
    ) -> HostedLink:
        """A page of the gateway's where the customer enters a payment method; it leads back to `return_url`.

        The method arrives by webhook, and is then as one that was added: the default where he has none that can be
        charged, tried at once on what is overdue.
        """
        owner = scope.customer(customer)
        if scope.dry:
            return HostedLink("", owner.reference, gateway)
        if not isinstance(scope.answer, Page):
            raise _unasked("A hosted page", "after the transaction")
        record(scope.writes, scope.new_id, owner.id, scope.now, "payment_method.asked", owner.id, gateway=gateway)
        return HostedLink(scope.answer.url, owner.reference, gateway)

    @verb(collects=True, asks=True)
    def verify(
        self,
        scope: Scope,
        customer: CustomerRef,
        payment_method: MethodRef,
        *,
        amounts: Decimals | None = None,
        code: Text | None = None,
        **options: Unpack[Options],
    ) -> PaymentMethod:
        """Verify a bank account by what its owner reads on the statement: two amounts in minor units, or a code.

        It stays unverified where they are wrong; the gateway decides how often it may be tried.
        """
        return self._asked_about(scope, customer, payment_method, "A verification")

    @verb(collects=True, asks=True)
    def refresh(
        self, scope: Scope, customer: CustomerRef, payment_method: MethodRef, **options: Unpack[Options]
    ) -> PaymentMethod:
        """Ask the gateway how a method stands now; one that it does not keep any more is disabled."""
        return self._asked_about(scope, customer, payment_method, "A refresh")

    @verb(collects=True)
    def set_default(
        self, scope: Scope, customer: CustomerRef, payment_method: MethodRef, **options: Unpack[Options]
    ) -> PaymentMethod:
        """Charge this method from now on; it is tried at once on what is overdue (behaviour 9.5)."""
        owner = scope.customer(customer)
        method = scope.payment_method(owner, payment_method)
        _require_usable(method, payment_method)
        if method.refused_at is not None:  # Whoever chooses it believes that it is good again.
            method = evolve(method, refused_at=None)
            scope.writes.put(method)
        _make_default(scope, owner, method)
        return method

    @verb(collects=True)
    def set_order(
        self, scope: Scope, customer: CustomerRef, payment_methods: MethodRefs, **options: Unpack[Options]
    ) -> list[PaymentMethod]:
        """The order in which methods are tried: the first one becomes the default, those not named follow by age.

        Declined, the next one is tried at once where the setting method_fallback is "order" (behaviour 9.5).
        """
        owner = scope.customer(customer)
        named = [scope.payment_method(owner, ref) for ref in dict.fromkeys(payment_methods)]
        if not named:
            raise InvalidValue("An order names methods.", remedy="Name one at least.", parameter="payment_methods")
        _require_usable(named[0], str(payment_methods[0]))
        # Those that are not named, now and later, stay behind: their place is 0.
        places = {method.id: place - len(named) for place, method in enumerate(named)}
        ordered = [evolve(one, position=places.get(one.id, 0)) for one in _methods(scope, owner)]
        ordered.sort(key=lambda one: (one.position, one.id))
        scope.writes.put(*ordered)
        _make_default(scope, owner, ordered[0])
        return ordered

    @verb(asks=True)
    def remove(
        self,
        scope: Scope,
        customer: CustomerRef,
        payment_method: MethodRef,
        *,
        at_gateway: Flag = False,
        **options: Unpack[Options],
    ) -> PaymentMethod:
        """Remove a payment method here; the gateway keeps its own unless `at_gateway` is given.

        The default falls to the next one that can be charged. With `at_gateway` it is removed nowhere unless
        the gateway answers that it is gone there; doing it again does no harm.
        """
        owner = scope.customer(customer)
        method = scope.payment_method(owner, payment_method)
        if at_gateway and not scope.dry and scope.answer != vault.DETACHED:
            raise _unasked("A removal at the gateway", "after the transaction, or remove it here only")
        if owner.default_method_id == method.id:
            others = [one for one in _methods(scope, owner) if one.id != method.id and one.status == "active"]
            scope.writes.put(evolve(owner, default_method_id=others[0].id if others else None))
        store.remove_method(scope.tx, method)
        record(scope.writes, scope.new_id, owner.id, scope.now, "payment_method.removed", method.id)
        return method

    @verb(reads=True)
    def list(self, scope: Scope, customer: CustomerRef) -> list[PaymentMethod]:
        """The customer's payment methods, in the order in which they are tried behind the default."""
        return _methods(scope, scope.customer(customer))

    def _asked_about(self, scope: Scope, customer: str, ref: str, what: str) -> PaymentMethod:
        owner = scope.customer(customer)
        method = scope.payment_method(owner, ref)
        if isinstance(scope.answer, Vaulted | MethodNotFound):
            return restate(scope, owner, method, scope.answer)
        if scope.dry:
            return method
        raise _unasked(what, "after the transaction")


def _require_usable(method: PaymentMethod, ref: str) -> None:
    if method.status == "active":
        return
    unverified = method.status == "unverified"
    raise Refused(
        "transition_not_allowed",
        f"Payment method {ref} is {method.status}.",
        remedy="Verify it first." if unverified else "Disabled methods can only be removed.",
        state=method.status,
    )


def keep(scope: Scope, owner: Customer, method: PaymentMethod) -> PaymentMethod:
    """Store a method that a vault keeps, once: adding it again, or its webhook first, is the same method."""
    for known in _methods(scope, owner):
        if (known.gateway, known.token) == (method.gateway, method.token):
            if method.reference and known.reference and method.reference != known.reference:
                raise Refused(
                    "reference_taken",
                    f"This payment method is {known.reference!r} already.",
                    remedy="Leave the reference out, or give that one.",
                )
            same = evolve(
                known,
                reference=method.reference or known.reference,
                kind=method.kind,
                gateway_customer=method.gateway_customer,
                brand=method.brand,
                last4=method.last4,
                expires_on=method.expires_on,
                fingerprint=method.fingerprint,
                status=method.status,
            )
            return _restated(scope, owner, known, same)
    others = store.by_token(scope.tx, method.gateway, method.token)
    if any(one.status != "removed" for one in others):
        raise Refused(
            "payment_method_refused",
            "Another customer has this payment method.",
            remedy="A token is good for one customer: let this one enter the method himself.",
        )
    return _new(scope, owner, method)


def restate(scope: Scope, owner: Customer, method: PaymentMethod, answer: Vaulted | MethodNotFound) -> PaymentMethod:
    """Store how the gateway describes a method of ours now."""
    return _restated(scope, owner, method, vault.described(method, answer))


def _restated(scope: Scope, owner: Customer, before: PaymentMethod, after: PaymentMethod) -> PaymentMethod:
    if after != before:
        scope.writes.put(after)
        kind = after.status if after.status != before.status else "updated"
        record(scope.writes, scope.new_id, owner.id, scope.now, f"payment_method.{kind}", after.id)
    if after.status == "active" and (before.status != "active" or owner.default_method_id is None):
        _offer_as_default(scope, owner, after)
    return after


def _new(scope: Scope, owner: Customer, method: PaymentMethod) -> PaymentMethod:
    scope.writes.add(method)
    record(scope.writes, scope.new_id, owner.id, scope.now, "payment_method.added", method.id)
    if method.status == "active":
        _offer_as_default(scope, owner, method)
    return method


def _offer_as_default(scope: Scope, owner: Customer, method: PaymentMethod) -> None:
    """A customer whose default cannot be charged has none: the new method takes its place.

    So it does while something is overdue: what is charged until now has failed, and the new one is tried at once.
    """
    charged = {one.id for one in _methods(scope, owner) if one.status == "active"} - {method.id}
    if owner.default_method_id == method.id:
        _try_again(scope, owner, method)
    elif owner.default_method_id not in charged or is_overdue(scope, owner.id):
        _make_default(scope, owner, method)


def _methods(scope: Scope, owner: Customer) -> list[PaymentMethod]:
    return store.methods(scope.tx, [owner.id]).get(owner.id, [])


def _refuse_unkept(scope: Scope, gateway: str) -> None:
    """Where nobody could be asked, a vault's method is taken over only with the customer it is kept for there."""
    if Capability.VAULT in scope.capabilities(gateway):
        raise Refused(
            "payment_method_refused",
            f"Gateway {gateway} keeps methods in a vault, and is not asked inside a transaction.",
            remedy="Add it outside the transaction; or give the gateway_customer that keeps it there already.",
            parameter="gateway_customer",
        )


def _unasked(what: str, instead: str) -> Refused:
    return Refused(
        "join_refused", f"{what} asks the gateway, which no transaction waits for.", remedy=f"Call it {instead}."
    )


def _make_default(scope: Scope, owner: Customer, method: PaymentMethod) -> None:
    if owner.default_method_id == method.id:
        return
    scope.writes.put(evolve(owner, default_method_id=method.id))
    _try_again(scope, owner, method)


def _try_again(scope: Scope, owner: Customer, method: PaymentMethod) -> None:
    """Another method, or the same with news of it, is tried at once on what is overdue (behaviour 9.5)."""
    for case in payments.open_cases(scope.tx, [owner.id]).values():
        if case.refused_method_id == method.id:  # There is news of it, so its retries go on too.
            scope.writes.put(evolve(case, refused_method_id=None))
    retry_with(scope, owner.id, method)
