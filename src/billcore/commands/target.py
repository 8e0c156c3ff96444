"""From what a change asks for to what is to be subscribed: price, quantity and components, each checked (6.1, 6.3)."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from attrs import asdict, evolve, field, frozen

from billcore.commands.components import new_item, offers, require_offered
from billcore.commands.scope import Scope
from billcore.domain.catalog import Price
from billcore.domain.change import InvoiceAt, ItemChange, PeriodMode, Target, Wish
from billcore.domain.compact import compact
from billcore.domain.facts import Facts
from billcore.domain.instants import instant_text
from billcore.domain.subscription import Item, Subscription
from billcore.errors import InvalidValue, Refused
from billcore.settings import ChangeMode


@frozen
class Asked:
    """What a change asks for, as it is stored while it waits: ids and texts. None leaves a thing as it is.

    `components` are quantities by code, `component_prices` price codes by component. `item_ids` are those that
    components which are added have on a draft that waits for its payment, by code. What waits for the renewal or for an
    instant stays, unless this one `replaces` it.
    """

    price_id: str | None = None
    quantity: str | None = None
    components: Mapping[str, str] = field(factory=dict)
    component_prices: Mapping[str, str] = field(factory=dict)
    proration: ChangeMode | None = None
    period: PeriodMode | None = None
    upgrade: ChangeMode | None = None
    downgrade: ChangeMode | None = None
    invoice_at: InvoiceAt | None = None
    billing_day: int | None = None
    include_trial: bool = False
    reason: str | None = None
    item_ids: Mapping[str, str] = field(factory=dict)
    replaces: bool = False

    def drafted(self, target: Target) -> "Asked":
        """The same with what the lines of a draft name: asked for again, it has to come to the same items."""
        added = {change.after.component: change.after.id for change in target.items if change.before is None}
        return evolve(self, item_ids=added)

    def stored(self) -> str:
        """As JSON, without what was left as it is."""
        return compact({name: value for name, value in asdict(self).items() if value not in (None, {}, False)})

    @classmethod
    def read(cls, text: str) -> "Asked":
        """From its JSON."""
        values: dict[str, Any] = json.loads(text)
        return cls(**values)

    def wish(self, at: datetime, facts: Facts, target: Target) -> Wish:
        """How it is billed at an instant: a price of another interval begins a new period (behaviour 6.1)."""
        period: PeriodMode = self.period or ("keep" if target.facts.price.every == facts.price.every else "reset")
        return Wish(
            at,
            self.proration,
            "reset" if self.include_trial else period,
            self.upgrade,
            self.downgrade,
            self.invoice_at,
            self.billing_day,
            self.include_trial,
            replaces=self.replaces,
        )


def target_of(
    scope: Scope, sub: Subscription, facts: Facts, asked: Asked, at: datetime, *, waited: bool = False
) -> Target:
    """What is subscribed to when `asked` comes into effect at `at`.

    With another product the components that it does not offer end. Of a change that `waited`, what cannot be had any
    more by now is left out. Raises component_not_offered, currency_mismatch, invalid_value.
    """
    price = scope.prices([asked.price_id])[asked.price_id] if asked.price_id is not None else facts.price
    product = scope.catalog.catalog.product_of(price)
    bought = evolve(sub, price_id=price.id)
    units_of = {code: Decimal(units) for code, units in asked.components.items()}
    if waited:
        there = {item.component for item in sub.items if item.ended_at is None}
        possible = {code for code, units in units_of.items() if offers(product, code) and (units or code in there)}
        units_of = {code: units for code, units in units_of.items() if code in possible}
    # Who stays with a product keeps what he has of it, whatever it offers by now.
    gone: list[Item] = []
    if product.code != facts.product.code:
        for code in (code for code, units in units_of.items() if units):
            require_offered(product, code)
        gone = [item for item in sub.items if item.ended_at is None and not offers(product, item.component)]
    changes = [_wanted(scope, bought, code, units, asked, at) for code, units in units_of.items()]
    wanted = [change for change in changes if change is not None]
    touched = {change.after.id for change in wanted}
    wanted += [ItemChange(item, evolve(item, ended_at=at)) for item in gone if item.id not in touched]
    prices = {**facts.prices, price.id: price, **scope.prices({change.after.price_id for change in wanted})}
    quantity = Decimal(asked.quantity) if asked.quantity is not None else sub.quantity
    return Target(evolve(facts, product=product, price=price, prices=prices), quantity, tuple(wanted))


def before_of(sub: Subscription) -> str:
    """What there was until a change, for the history: price, quantity, and each component's price and quantity."""
    items = {item.id: [item.price_id, str(item.quantity)] for item in sub.items}
    phases = instant_text(sub.priced_from) if sub.priced_from is not None else None
    return compact({"price": sub.price_id, "quantity": str(sub.quantity), "items": items, "priced_from": phases})


def require_sold(price: Price, sub: Subscription) -> None:
    """Refuse a price that is no subscription's, or that is not sold in its currency."""
    if price.product is None or price.once or price.every is None:
        raise InvalidValue(
            f"Price {price.code} is not the price of a subscription.",
            remedy="Use a product's price with an interval.",
            parameter="price",
        )
    if sub.currency not in price.currencies:
        raise Refused(
            "currency_mismatch",
            f"Price {price.code} is sold in {', '.join(price.currencies)}, subscription {sub.reference} is in "
            f"{sub.currency}.",
            remedy="Choose a price in the subscription's currency.",
            price=price.code,
        )


def _wanted(
    scope: Scope, sub: Subscription, code: str, units: Decimal, asked: Asked, at: datetime
) -> ItemChange | None:
    """What becomes of one component; None where it is as asked for already."""
    kind = scope.catalog.catalog.component(code).kind
    current = next((item for item in sub.items if item.component == code and item.ended_at is None), None)
    price = _component_price(scope, sub, code, asked.component_prices.get(code))
    if kind == "one_time":
        current = None
    if current is None:
        if units == 0:
            raise InvalidValue(
                f"Component {code} is not on subscription {sub.reference}.",
                remedy="Only what is there can be taken away.",
                parameter="quantity",
            )
        return _added(scope, sub, code, units, price, asked, at)
    if units == 0:
        return ItemChange(current, evolve(current, quantity=units, ended_at=at))
    if kind == "on_off" and units != 1:
        raise InvalidValue(f"Component {code} is on or off.", remedy="Use 1 or 0.", parameter="quantity")
    after = evolve(current, quantity=units, price_id=price.id if price is not None else current.price_id)
    if kind == "metered":
        after = evolve(after, quantity=current.quantity)
    return None if after == current else ItemChange(current, after)


def _added(
    scope: Scope, sub: Subscription, code: str, units: Decimal, price: Price | None, asked: Asked, at: datetime
) -> ItemChange:
    """A component that is added, or comes back to a period that is still paid for it."""
    metered = scope.catalog.catalog.component(code).kind == "metered"
    item = new_item(scope, sub, code, Decimal(0) if metered else units, at)
    item = evolve(item, id=asked.item_ids.get(code, item.id))
    if price is not None:
        item = evolve(item, price_id=price.id)
    if scope.catalog.catalog.component(code).kind == "one_time":
        return ItemChange(None, evolve(item, ended_at=at))
    gone = [one for one in sub.items if one.component == code and one.paid_quantity is not None]
    gone = [one for one in gone if one.period_end is None or one.period_end > at]
    if gone and gone[-1].price_id == item.price_id:
        return ItemChange(gone[-1], evolve(gone[-1], quantity=units, ended_at=None))
    return ItemChange(None, item)


def _component_price(scope: Scope, sub: Subscription, code: str, price_code: str | None) -> Price | None:
    if price_code is None:
        return None
    price = scope.catalog.catalog.price(price_code)
    if price.component != code:
        raise InvalidValue(
            f"Price {price_code} is not a price of component {code}.",
            remedy=f"It belongs to {price.component or price.product}.",
            parameter="price",
        )
    if sub.currency not in price.currencies:
        raise Refused(
            "currency_mismatch",
            f"Price {price_code} is not sold in {sub.currency}.",
            remedy="Choose a price in the subscription's currency.",
            price=price_code,
        )
    return price
