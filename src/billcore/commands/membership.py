"""Joining and leaving a group of customers, in which one pays for others (behaviour 14)."""

from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.groups import Move, move, moving, own_subscriptions, require_method
from billcore.commands.parameters import Count, CustomerRef, Options
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.bill import record
from billcore.domain.customer import Customer
from billcore.domain.group import day_of, on_day, payer_of, require_fit, terms_beside
from billcore.domain.states import END
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue, Refused
from billcore.store import group as store


class Membership(Noun):
    """Verbs of customers who belong to a group."""

    noun = "customers"

    @verb(collects=True)
    def join(
        self,
        scope: Scope,
        customer: CustomerRef,
        parent: CustomerRef,
        *,
        align: Literal["none", "payer_day"] = "none",
        **options: Unpack[Options],
    ) -> Customer:
        """Let a parent, or who pays for that one, owe what a customer's subscriptions bill from now on.

        Open invoices stay the customer's. `align = "payer_day"` gives the subscriptions the payer's billing day for
        good: the current period stays, the next is short. Raises invalid_value (a parent below himself, no billing
        day, another time zone), currency_mismatch, payment_in_doubt (behaviour 14).
        """
        moved = moving(scope, customer, parent)
        require_fit(moved.customer, moved.parents, moved.subscriptions)
        payer = payer_of(moved.parents)
        own = own_subscriptions(scope, payer)
        dated = _Aligned(scope, moved, payer, own) if align == "payer_day" else _as_they_are
        move(scope, moved, payer, lambda sub: terms_beside(own, sub.collection), dated)
        return _placed(scope, moved.customer, moved.parents[0])

    @verb(collects=True)
    def leave(self, scope: Scope, customer: CustomerRef, **options: Unpack[Options]) -> Customer:
        """Let a customer leave his group: from now on he owes himself for his running subscriptions.

        They have the site's net terms; open invoices stay the payer's. Raises transition_not_allowed where he is in
        no group, or has no payment method and something is charged by itself; payment_in_doubt (behaviour 14).
        """
        moved = moving(scope, customer, None)
        if moved.customer.parent_id is None:
            raise Refused(
                "transition_not_allowed",
                f"Customer {moved.customer.reference} has no parent.",
                remedy="Only who belongs to a group can leave it: customers.join.",
                customer=moved.customer.reference,
            )
        if moved.customer.pays == "parent":
            require_method(scope, moved.customer, moved.subscriptions)
            move(scope, moved, moved.customer, lambda _sub: None)
        return _placed(scope, moved.customer, None)

    @verb(reads=True)
    def members(
        self, scope: Scope, customer: CustomerRef, *, after: CustomerRef | None = None, limit: Count = 50
    ) -> list[Customer]:
        """The customers below a parent, and those below them, in order of creation, whether he pays or they do."""
        last = scope.customer(after).id if after is not None else None
        return store.members(scope.tx, scope.customer(customer).id, after=last, limit=limit)


class _Aligned:
    """Gives subscriptions the billing day of their new payer."""

    def __init__(self, scope: Scope, moved: Move, payer: Customer, own: list[Subscription]) -> None:
        self._scope = scope
        self._prices = scope.prices({sub.price_id for sub in (*moved.subscriptions, *own)})
        zone = scope.zone(payer)
        monthly = [sub for sub in own if (every := self._prices[sub.price_id].every) and every.months]
        self._day = day_of(payer, monthly, zone)
        other = next((sub for sub in moved.subscriptions if scope.zone_of(sub) != zone), None)
        if other is not None:
            raise InvalidValue(
                f"Subscription {other.reference} counts its dates in {scope.zone_of(other)}, "
                f"customer {payer.reference} in {zone}: they never share an instant.",
                remedy="Join with align=none, or give both one time zone first.",
                parameter="align",
            )

    def __call__(self, sub: Subscription) -> Subscription:
        every = self._prices[sub.price_id].every
        if sub.state in END:
            return sub
        assert every is not None
        return on_day(sub, every, self._day, self._scope.zone_of(sub), self._scope.settings, self._scope.now)


def _as_they_are(sub: Subscription) -> Subscription:
    return sub


def _placed(scope: Scope, customer: Customer, parent: Customer | None) -> Customer:
    """The customer below this parent, who pays for him; in no group without one."""
    placed = evolve(
        customer, parent_id=parent.id if parent is not None else None, pays="parent" if parent is not None else "self"
    )
    scope.writes.put(placed)
    kind, above = ("customer.joined", parent.id) if parent is not None else ("customer.left", customer.parent_id)
    record(scope.writes, scope.new_id, customer.id, scope.now, kind, customer.id, parent=above)
    scope.flush()
    return scope.customer(placed.id)
