"""Attaching components and making custom prices: shared by the verbs of subscriptions and usage."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from attrs import evolve

from billcore.commands.redeeming import redeem_one
from billcore.commands.scope import Scope
from billcore.domain.catalog import Coupon, Price, Product
from billcore.domain.catalog_reader import from_definition
from billcore.domain.catalog_writer import definition
from billcore.domain.discount import AppliedCoupon
from billcore.domain.facts import own_interval, schedule_of
from billcore.domain.subscription import Item, Subscription
from billcore.errors import FileInvalid, InvalidValue, Refused
from billcore.store import catalog as stored_catalog


def offers(product: Product, code: str) -> bool:
    """Whether a component may be attached to subscriptions of a product."""
    return product.components is None or code in product.components


def require_offered(product: Product, code: str) -> None:
    """Refuse a component that the product does not offer: component_not_offered (behaviour 4.3)."""
    if not offers(product, code):
        raise Refused(
            "component_not_offered",
            f"Product {product.code} does not offer component {code}.",
            remedy=f"It offers: {', '.join(product.components or ()) or 'none'}.",
            product=product.code,
            component=code,
        )


def new_item(scope: Scope, sub: Subscription, code: str, quantity: Decimal, at: datetime) -> Item:
    """A component on a subscription, at its first price.

    Raises not_found, component_not_offered (behaviour 4.3) and currency_mismatch.
    """
    catalog = scope.catalog.catalog
    component = catalog.component(code)
    price = scope.prices([sub.price_id])[sub.price_id]
    product = catalog.product_of(price)
    require_offered(product, code)
    offered = catalog.prices_of(component)
    chosen = next((one for one in offered if sub.currency in one.currencies), None)
    if chosen is None:
        raise Refused(
            "currency_mismatch",
            f"Component {code} has no price in {sub.currency}.",
            remedy="Publish a price in that currency.",
            component=code,
        )
    if component.kind == "on_off" and quantity not in (0, 1):
        raise InvalidValue(f"Component {code} is on or off.", remedy="Use 1 or 0.", parameter="quantity")
    item = Item(scope.new_id("itm"), sub.id, code, chosen.id, quantity, at)
    if own_interval(chosen, price) and sub.anchor is not None and sub.period_start is not None:
        return _in_own_period(scope, sub, item, chosen)
    return item


def _in_own_period(scope: Scope, sub: Subscription, item: Item, price: Price) -> Item:
    """The item in the period of its own interval that holds now, counted from the subscription's anchor (4.3)."""
    assert price.every is not None and sub.period_start is not None
    schedule = schedule_of(sub, price.every, scope.zone_of(sub), scope.settings)
    start = scope.now if schedule.is_boundary(scope.now) else schedule.boundary_before(scope.now)
    return evolve(item, period_start=max(start, sub.period_start), period_end=schedule.boundary_after(scope.now))


def new_items(scope: Scope, sub: Subscription, components: Mapping[str, Decimal], at: datetime) -> tuple[Item, ...]:
    """The components of a new subscription."""
    return tuple(new_item(scope, sub, code, quantity, at) for code, quantity in components.items())


def redeem_coupons(
    scope: Scope, sub: Subscription, codes: Sequence[str], zone: str, at: datetime
) -> tuple[AppliedCoupon, ...]:
    """The coupons of a new subscription, in order; raises the coupon errors of behaviour 8.1."""
    held: list[AppliedCoupon] = []
    for code in codes:
        require_applicable(scope, sub, scope.catalog.catalog.coupon(code))
        held.append(redeem_one(scope, code, zone=zone, at=at, currency=sub.currency, held=held, subscription_id=sub.id))
    return tuple(held)


def custom_price(scope: Scope, base: Price, custom: Mapping[str, str], *, begun: bool = False) -> Price:
    """A price for one subscription: `base` with the fields that `custom` gives (behaviour 4.1, 6.5).

    A custom amount is what follows the phases; of those that have `begun` it takes the place, as they would begin anew.
    Equal custom prices of one base are one row. Raises invalid_value for what no catalog could have.
    """
    if "amount" in custom:  # It is in the one currency of the price, and so are the phases before it.
        left = () if begun else base.phases
        one = [evolve(phase, amounts={base.currency: phase.amounts[base.currency]}) for phase in left]
        base = evolve(base, phases=tuple(one))
    table = {**definition(base), **custom}
    if "amount" in custom:
        table.pop("amounts", None)
        table.pop("scheme", None)
        table.pop("tiers", None)
    table.pop("custom_of", None)
    try:
        wanted = from_definition("price", table, product=base.product, id="")
    except FileInvalid as error:  # It speaks of a file, of which there is none.
        raise InvalidValue(f"custom: {error.message}", remedy=error.remedy, parameter="custom") from None
    written = stored_catalog.definition_text(wanted)
    base_id = base.custom_of or base.id
    code = stored_catalog.custom_code(base_id, written)
    known = stored_catalog.custom_price_id(scope.tx, code)
    if known is not None:
        return scope.prices([known])[known]
    price = evolve(wanted, id=scope.new_id("pri"), custom_of=base_id)
    stored_catalog.add(
        scope.tx,
        [
            stored_catalog.CatalogEntry(
                price.id, "custom_price", code, 1, written, scope.now, f"product/{base.product}", base_id
            )
        ],
    )
    scope.custom[price.id] = price
    return price


def require_applicable(scope: Scope, sub: Subscription, coupon: Coupon) -> None:
    """A restricted coupon needs something it applies to that the subscription has, or may come to have (8.1).

    That is its product, its price, and the components that the product offers: usage attaches one by itself, later.
    Raises coupon_not_applicable.
    """
    if coupon.applies_to is None:
        return
    catalog = scope.catalog.catalog
    prices = scope.prices([sub.price_id, *(item.price_id for item in sub.items if item.ended_at is None)])
    codes = {code for price in prices.values() for code in (price.code, price.product, price.component) if code}
    offered = catalog.product_of(prices[sub.price_id]).components
    later = set(catalog.components if offered is None else offered)
    later |= {price.code for price in catalog.prices.values() if price.component in later}
    if not (codes | later) & set(coupon.applies_to):
        raise Refused(
            "coupon_not_applicable",
            f"Coupon {coupon.code} applies to {', '.join(coupon.applies_to)} only.",
            remedy=f"Subscription {sub.reference} has {', '.join(sorted(codes))}; nothing it applies to can be added.",
            coupon=coupon.code,
        )
