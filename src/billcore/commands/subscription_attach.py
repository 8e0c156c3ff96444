"""One call that gives a customer a product: new, more, less, or beside what he has (behaviour 6.4)."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Unpack

from attrs import frozen

from billcore.commands import vault
from billcore.commands.attempts import usable_method
from billcore.commands.changing import drop_change
from billcore.commands.components import custom_price
from billcore.commands.desk import Desk
from billcore.commands.groups import buyer_and_payer
from billcore.commands.parameters import Code, Codes, Custom, CustomerRef, Options, Reference, Text
from billcore.commands.scope import Scope
from billcore.commands.subscription_changes import Changes, carry_out
from billcore.commands.subscription_extras import give_coupon
from billcore.commands.target import Asked, require_sold
from billcore.commands.verb import BoundVerb, Definition, verb
from billcore.domain.attaching import is_downgrade
from billcore.domain.catalog import Price
from billcore.domain.customer import Customer
from billcore.domain.lifecycle import uncancel
from billcore.domain.states import BILLING
from billcore.domain.subscription import Subscription
from billcore.errors import Refused
from billcore.plugins.gateway import Capability, Page
from billcore.store import customer as customers
from billcore.store import group as groups

RUNNING = (*sorted(BILLING), "trialing")
"""States of what a customer has of a family by now."""


@frozen
class Attached:
    """What came of it: a new subscription, an upgrade now, a downgrade at the renewal, or a page to pay on first.

    `kept` is what he has already, of which a planned change or end was dropped. `checkout` is the page of the gateway
    where the customer enters a payment method; nothing is subscribed to by then.
    """

    action: Literal["new", "upgrade", "downgrade", "kept", "checkout"]
    subscription: Subscription | None = None
    checkout: str | None = None


class Attaching(Changes):
    """The verb that decides by itself what a customer's wish for a product means."""

    noun = "subscriptions"

    def ask(self, definition: Definition, arguments: Mapping[str, Any], desk: Desk) -> object:
        """A page of the gateway's for a customer who has nothing to pay with."""
        with desk.reading() as scope:
            _, payer = buyer_and_payer(scope, arguments["customer"])
            gateway = vault.meant(scope, None)
            needy = _method(scope, payer) is None and arguments["return_url"] is not None
            able = Capability.HOSTED_PAGE in scope.capabilities(gateway)
        return vault.page(desk, {**arguments, "customer": payer.id, "gateway": gateway}) if needy and able else None

    @verb(collects=True, asks=True)
    def attach(
        self,
        scope: Scope,
        reference: Reference,
        customer: CustomerRef,
        price: Code,
        *,
        custom: Custom | None = None,
        coupons: Codes | None = None,
        return_url: Text | None = None,
        **options: Unpack[Options],
    ) -> Attached:
        """Give a customer a product, whatever he has of its family: a new subscription, an upgrade or a downgrade.

        It is an upgrade (now, prorated) unless the new price is lower a month and its interval not longer: then it
        waits for the renewal. Other families and add-ons come beside. `reference` is for a new subscription only,
        `coupons` hold for a changed one too. A customer without a payment method gets a page of the gateway's to enter
        one, where it has such a page and `return_url` is given.

        Raises as subscriptions.create and subscriptions.change; price_unchanged.
        """
        owner, _ = buyer_and_payer(scope, customer)
        chosen = scope.catalog.catalog.price(price)
        product = scope.catalog.catalog.product_of(chosen)
        current = None if product.kind == "addon" else _current(scope, owner, product.family)
        if current is None:
            given: dict[str, object] = {
                "reference": reference,
                "customer": owner.id,
                "price": price,
                "coupons": coupons,
            }
            given |= {"custom": custom} if custom else {}
            bound: BoundVerb[..., Subscription] = self.create  # type: ignore[attr-defined]  # the noun's other half
            return _paid_or_checkout(scope, "new", lambda asking: bound.within(asking, given))
        wanted = custom_price(scope, chosen, custom) if custom else chosen
        require_sold(wanted, current)
        for coupon in coupons or ():
            current = give_coupon(scope, current, coupon, wanted.id)
        if wanted.id == current.price_id and (current.change_id is not None or current.cancel_at is not None):
            return Attached("kept", _kept(scope, current))
        asked = Asked(wanted.id if wanted.id != current.price_id else None, replaces=True)
        if _lowers(scope, current, wanted):
            return Attached("downgrade", carry_out(scope, current, asked, "renewal", named=price))
        sub = current
        return _paid_or_checkout(scope, "upgrade", lambda asking: carry_out(asking, sub, asked, "now", named=price))


def _paid_or_checkout(
    scope: Scope, action: Literal["new", "upgrade"], make: Callable[[Scope], Subscription]
) -> Attached:
    if isinstance(scope.answer, Page):
        try:
            make(scope.aside())
        except Refused as refused:
            if refused.code != "payment_declined":
                raise
            return Attached("checkout", checkout=scope.answer.url)
    return Attached(action, make(scope))


def _kept(scope: Scope, sub: Subscription) -> Subscription:
    """What the customer has and is given again: it stays, whatever was planned."""
    after = drop_change(scope, sub)
    if after.cancel_at is not None:
        after = uncancel(after)
    scope.writes.put(after)
    return after


def _method(scope: Scope, owner: Customer) -> object:
    return usable_method(customers.methods(scope.tx, [owner.id]).get(owner.id, []), owner, None)


def _current(scope: Scope, owner: Customer, family: str) -> Subscription | None:
    """What the customer has of a family, the oldest first; add-ons are nothing that a product takes the place of."""
    for sub in groups.subscribed(scope.tx, [owner.id], scope.catalog.coupons):
        if sub.state not in RUNNING:
            continue
        product = scope.catalog.catalog.product_of(scope.prices([sub.price_id])[sub.price_id])
        if product.family == family and product.kind != "addon" and sub.base_id is None:
            return sub
    return None


def _lowers(scope: Scope, sub: Subscription, wanted: Price) -> bool:
    old = scope.prices([sub.price_id])[sub.price_id]
    if wanted.every is None or sub.currency not in wanted.currencies:
        return False  # The change refuses it.
    return is_downgrade(old, wanted, sub.currency, sub.quantity)
