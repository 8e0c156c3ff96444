"""Customers: who subscribes and who owes."""

from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.groups import line_of
from billcore.commands.membership import Membership
from billcore.commands.parameters import (
    UNSET,
    BillingDay,
    Count,
    CustomerRef,
    Fields,
    Flag,
    Options,
    Reference,
    Text,
    Unset,
)
from billcore.commands.pausing import STOPPABLE, of_customer, pause_one, require_not_paused, require_paused, unpause_one
from billcore.commands.scope import Scope
from billcore.commands.verb import verb
from billcore.domain.bill import record
from billcore.domain.customer import Customer
from billcore.domain.group import require_fit
from billcore.domain.money import exponent
from billcore.domain.periods import zone_of
from billcore.errors import InvalidValue, Refused
from billcore.store import customer as store
from billcore.store import group as groups
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions
from billcore.store.balance import Balance
from billcore.store.balance import balances as stored_balances


class Customers(Membership):
    """Customers: who subscribes and who owes."""

    noun = "customers"

    @verb()
    def create(
        self,
        scope: Scope,
        reference: Reference,
        name: Text | None = None,
        email: Text | None = None,
        *,
        organization: Text | None = None,
        phone: Text | None = None,
        country: Text = "",
        region: Text = "",
        postcode: Text = "",
        city: Text = "",
        address: Text = "",
        vat_number: Text | None = None,
        tax_exempt: Flag = False,
        timezone: Text | None = None,
        currency: Text | None = None,
        billing_day: BillingDay | None = None,
        parent: CustomerRef | None = None,
        pays: Literal["self", "parent"] = "self",
        custom_fields: Fields | None = None,
        **options: Unpack[Options],
    ) -> Customer:
        """Create a customer.

        `timezone` is an IANA name, otherwise the site's; `billing_day` is used by subscriptions without their own.
        With `pays = "parent"` the customer `parent`, or who pays for that one, owes what this one subscribes to.
        Raises reference_taken when another customer has the reference, invalid_value where a value cannot be used
        or the site requires a name or e-mail that is missing (behaviour 14).
        """
        _require_free(scope, reference, None)
        assert billing_day != "end"
        customer = Customer(
            scope.new_id("cus"),
            reference,
            scope.now,
            name,
            email,
            organization,
            phone,
            country,
            region,
            postcode,
            city,
            address,
            vat_number,
            tax_exempt,
            timezone,
            currency,
            billing_day,
            custom_fields=custom_fields or {},
            parent_id=scope.customer(parent).id if parent is not None else None,
            pays=pays,
        )
        _check(scope, customer)
        if pays == "parent" and customer.parent_id is not None:
            require_fit(customer, line_of(scope, customer.parent_id))
        scope.writes.add(customer)
        record(scope.writes, scope.new_id, customer.id, scope.now, "customer.created", customer.id)
        return customer

    @verb()
    def update(
        self,
        scope: Scope,
        customer: CustomerRef,
        *,
        reference: Reference | Unset = UNSET,
        name: Text | Unset | None = UNSET,
        email: Text | Unset | None = UNSET,
        organization: Text | Unset | None = UNSET,
        phone: Text | Unset | None = UNSET,
        country: Text | Unset = UNSET,
        region: Text | Unset = UNSET,
        postcode: Text | Unset = UNSET,
        city: Text | Unset = UNSET,
        address: Text | Unset = UNSET,
        vat_number: Text | Unset | None = UNSET,
        tax_exempt: Flag | Unset = UNSET,
        timezone: Text | Unset | None = UNSET,
        billing_day: BillingDay | Unset | None = UNSET,
        custom_fields: Fields | Unset = UNSET,
        **options: Unpack[Options],
    ) -> Customer:
        """Change a customer's own fields; what is not given stays. Subscriptions are not touched.

        Raises not_found, reference_taken, invalid_value.
        """
        before = scope.customer(customer)
        given = {
            "reference": reference,
            "name": name,
            "email": email,
            "organization": organization,
            "phone": phone,
            "country": country,
            "region": region,
            "postcode": postcode,
            "city": city,
            "address": address,
            "vat_number": vat_number,
            "tax_exempt": tax_exempt,
            "timezone": timezone,
            "billing_day": billing_day,
            "custom_fields": custom_fields,
        }
        changes = {field: value for field, value in given.items() if not isinstance(value, Unset)}
        if isinstance(reference, str):
            _require_free(scope, reference, before)
        after = evolve(before, **changes)  # type: ignore[arg-type]  # each value has its field's type
        _check(scope, after)
        if after != before:
            scope.writes.put(after)
            record(
                scope.writes,
                scope.new_id,
                before.id,
                scope.now,
                "customer.updated",
                before.id,
                fields=",".join(changes),
            )
            scope.flush()
        return scope.customer(before.id)

    @verb(reads=True)
    def get(self, scope: Scope, customer: CustomerRef) -> Customer:
        """One customer by reference or id; raises not_found naming the nearest references."""
        return scope.customer(customer)

    @verb(reads=True)
    def balances(self, scope: Scope, customer: CustomerRef) -> list[Balance]:
        """What a customer owes and has, in each currency: due, credits, prepayment, lifetime value (behaviour 10)."""
        return stored_balances(scope.tx, [scope.customer(customer).id], scope.now)

    @verb(reads=True)
    def find(self, scope: Scope, text: Text, *, limit: Count = 50) -> list[Customer]:
        """Customers whose reference, name, organization or e-mail contains `text`, in order of creation."""
        return store.page(scope.tx, search=text, after=None, limit=limit)

    @verb(reads=True)
    def list(self, scope: Scope, *, after: CustomerRef | None = None, limit: Count = 50) -> list[Customer]:
        """Customers in order of creation; `after` is the last one of the page before."""
        last = scope.customer(after).id if after is not None else None
        return store.page(scope.tx, search=None, after=last, limit=limit)

    @verb()
    def pause(self, scope: Scope, customer: CustomerRef, **options: Unpack[Options]) -> Customer:
        """Stop everything that falls due for a customer: renewals, collection, dunning; commands by hand still work.

        His running subscriptions are paused. Raises transition_not_allowed when he is paused already.
        """
        found = scope.customer(customer)
        require_not_paused(found)
        for sub in of_customer(scope, found.id, STOPPABLE):
            pause_one(scope, sub)
        return self._put_paused(scope, evolve(found, paused_at=scope.now), "customer.paused")

    @verb()
    def unpause(self, scope: Scope, customer: CustomerRef, **options: Unpack[Options]) -> Customer:
        """Let a paused customer go on; what fell due meanwhile is done in order by the next run.

        All his paused subscriptions go on. Raises transition_not_allowed unless he is paused.
        """
        found = scope.customer(customer)
        require_paused(found)
        for sub in of_customer(scope, found.id, ("paused",)):
            unpause_one(scope, sub)
        return self._put_paused(scope, evolve(found, paused_at=None), "customer.unpaused")

    def _put_paused(self, scope: Scope, customer: Customer, event: str) -> Customer:
        scope.writes.put(customer)
        record(scope.writes, scope.new_id, customer.id, scope.now, event, customer.id)
        return customer

    @verb()
    def delete(self, scope: Scope, customer: CustomerRef, **options: Unpack[Options]) -> Customer:
        """Delete a customer who has no subscription, no document, no member and no money either way.

        Nothing is deleted at a gateway. Raises not_deletable with the list of what is in the way (behaviour 14).
        """
        found = scope.customer(customer)
        coupons = scope.catalog.coupons
        subs = subscriptions.page(
            scope.tx, coupons, customer_id=found.id, state=None, after=None, limit=1000, archived=True
        )
        members = groups.members(scope.tx, found.id, limit=1000)
        documents = invoices.any_of(scope.tx, found.id)
        paid = payments.page(scope.tx, customer_id=found.id, invoice_id=None, status=None, after=None, limit=1)
        credits = payments.open_credits(scope.tx, [found.id])
        if subs or documents or paid or credits or members:
            named = [f"{sub.reference} ({sub.state})" for sub in subs]
            named += [f"member {one.reference}" for one in members]
            names = ", ".join(named) or "documents or money"
            raise Refused(
                "not_deletable",
                f"Customer {found.reference} still has {names}.",
                remedy="Customers with subscriptions, invoices, payments, credits or members stay.",
                subscriptions=[sub.reference for sub in subs],
                members=[one.reference for one in members],
            )
        store.delete(scope.tx, found.id)
        return found


def _require_free(scope: Scope, reference: str, owner: Customer | None) -> None:
    taken = store.get(scope.tx, reference)
    if taken is not None and (owner is None or taken.id != owner.id):
        raise Refused(
            "reference_taken",
            f"A customer {reference!r} exists already.",
            remedy="Choose another reference, or use that customer.",
            reference=reference,
        )


def _check(scope: Scope, customer: Customer) -> None:
    settings = scope.settings
    if customer.pays == "parent" and customer.parent_id is None:
        raise InvalidValue(
            f"Customer {customer.reference} has no parent who could pay.",
            remedy="Give a parent, or pays=self.",
            parameter="pays",
        )
    if settings.require_customer_name and not customer.name:
        raise InvalidValue(
            f"Customer {customer.reference} has no name.",
            remedy="Give a name, or set require_customer_name to false.",
            parameter="name",
        )
    if settings.require_customer_email and not customer.email:
        raise InvalidValue(
            f"Customer {customer.reference} has no e-mail address.",
            remedy="Give an e-mail, or set require_customer_email to false.",
            parameter="email",
        )
    if customer.email and (customer.email.count("@") != 1 or customer.email.strip("@") != customer.email):
        raise InvalidValue(
            f"{customer.email!r} is not an e-mail address.",
            remedy="Write it like ada@example.com.",
            parameter="email",
        )
    if customer.country and (len(customer.country) != 2 or not customer.country.isalpha()):
        raise InvalidValue(
            f"{customer.country!r} is not a country code.", remedy='Use ISO 3166: "DE".', parameter="country"
        )
    if customer.timezone is not None:
        zone_of(customer.timezone)
    if customer.currency is not None:
        exponent(customer.currency)
