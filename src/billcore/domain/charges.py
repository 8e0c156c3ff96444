"""The lines a subscription is charged for a time: product, components, usage, fees, minimum (behaviour 4)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

from billcore.domain.catalog import Component, Price
from billcore.domain.draft import BasisValue, DraftLine
from billcore.domain.facts import Facts, own_interval
from billcore.domain.instants import instant_text
from billcore.domain.money import minor_units, round_exact
from billcore.domain.periods import Duration, Period, add, local_date
from billcore.domain.pricing import charge_for
from billcore.domain.proration import WHOLE, Portion, portion, prorate_charge
from billcore.domain.subscription import Item, Subscription

ONE = Decimal(1)


def price_in_force(price: Price, sub: Subscription, at: datetime, zone: str) -> Mapping[str, Decimal]:
    """The amounts of `price` by currency on the local day of `at`: those of its phase, or its final ones.

    Phases count from `priced_from`; their edges are counted from there too, never from the edge before (behaviour
    2.2, 4.4).
    """
    if not price.phases or sub.priced_from is None:
        return price.amounts
    day, months, days = local_date(at, zone), 0, 0
    for phase in price.phases:
        months += phase.length.months or 0
        days += phase.length.days or 0
        edge = add(add(sub.priced_from, Duration(months, "month"), zone), Duration(days, "day"), zone)
        if day < local_date(edge, zone):
            return phase.amounts
    return price.amounts


def product_line(
    sub: Subscription, facts: Facts, period: Period, span: Period, *, zero: bool = False
) -> DraftLine | None:
    """The product for `period`, prorated by `span`; None when it costs nothing, unless a line of `zero` is wanted."""
    price = facts.price
    assert price.every is not None
    part = portion(period, span, facts.settings.proration_basis, facts.zone, price.every)
    # A phase that ends inside the period does not divide it.
    amounts = price_in_force(price, sub, span.start, facts.zone)
    exact = charge_for(price, sub.currency, sub.quantity, amounts=amounts)
    amount = prorate_charge(exact, part)
    if amount == 0 and not zero:
        return None
    return DraftLine(
        sub.id,
        sub.id,
        "product",
        price.id,
        price.code,
        facts.product.name,
        period,
        sub.quantity,
        amount,
        frozenset((facts.product.code, price.code)),
        facts.product.tax_code,
        facts.product.taxable,
        price.tax == "inclusive",
        basis=basis(price, sub.quantity, part, span, facts, amounts if amounts is not price.amounts else None),
    )


def item_line(
    sub: Subscription,
    item: Item,
    facts: Facts,
    period: Period | None,
    span: Period | None,
    quantity: Decimal | None = None,
    *,
    usage: bool = False,
) -> DraftLine | None:
    """One component for `period` (usage is never prorated: `span` None); None when it costs nothing."""
    price = facts.prices[item.price_id]
    component = facts.components[item.component]
    units = item.quantity if quantity is None else quantity
    exact = charge_for(price, sub.currency, units)
    part = WHOLE
    if period is not None and span is not None:
        every = price.every or facts.price.every
        assert every is not None
        part = portion(period, span, facts.settings.proration_basis, facts.zone, every)
    amount = prorate_charge(exact, part)
    if amount == 0:
        return None
    return DraftLine(
        sub.id,
        item.id,
        "usage" if usage else "one_time" if component.kind == "one_time" else "component",
        price.id,
        price.code,
        component.name,
        period,
        units,
        amount,
        frozenset((component.code, price.code)),
        component.tax_code,
        component.taxable,
        price.tax == "inclusive",
        basis=basis(price, units, part, span, facts),
    )


def fee_line(
    sub: Subscription, facts: Facts, kind: Literal["trial", "setup_fee"], major: Decimal | None, period: Period | None
) -> list[DraftLine]:
    """A trial amount or setup fee as published in the price's own currency; nothing when there is none."""
    if not major:
        return []
    amount = round_exact(minor_units(major, sub.currency))
    return [_extra_line(sub, facts, kind, amount, period, {"fee": kind})]


def counts_since(line: DraftLine, start: datetime) -> bool:
    """Whether a line is one of the period that began at `start`, for its minimum (behaviour 4.2).

    Usage counts in the period in which it is billed, which its own interval may begin before.
    """
    if line.period is None:
        return False
    return line.period.end > start if line.kind == "usage" else line.period.start >= start


def minimum_line(sub: Subscription, facts: Facts, billed: int, part: Portion, period: Period) -> list[DraftLine]:
    """What is missing to the price's minimum for the period, prorated with it (behaviour 4.2)."""
    if facts.price.minimum is None:
        return []
    whole = round_exact(minor_units(facts.price.minimum, sub.currency))
    missing = prorate_charge(whole, part) - billed
    if missing <= 0:
        return []
    computed: Mapping[str, BasisValue] = {
        "minimum": whole,
        "billed": billed,
        "portion": [part.numerator, part.denominator],
    }
    return [_extra_line(sub, facts, "minimum", missing, period, computed)]


def _extra_line(
    sub: Subscription,
    facts: Facts,
    kind: Literal["trial", "setup_fee", "minimum"],
    amount: int,
    period: Period | None,
    computed: Mapping[str, BasisValue],
) -> DraftLine:
    """What the product's price charges beside its own amount; it covers no time of an item."""
    price, product = facts.price, facts.product
    return DraftLine(
        sub.id,
        None,
        kind,
        price.id,
        price.code,
        f"{product.name}, {kind.replace('_', ' ')}",
        period,
        ONE,
        amount,
        frozenset((product.code, price.code)),
        product.tax_code,
        product.taxable,
        price.tax == "inclusive",
        basis={"price": price.id, **computed},
    )


def advance_items(sub: Subscription, facts: Facts) -> Iterator[Item]:
    """The components that are billed in advance together with the product."""
    for item in sub.items:
        price = facts.prices[item.price_id]
        component = facts.components[item.component]
        with_product = item.ended_at is None and not own_interval(price, facts.price)
        if with_product and component.kind != "one_time" and price.bill == "advance":
            yield item


def arrears_items(sub: Subscription, facts: Facts) -> Iterator[tuple[Item, Price, Component]]:
    """The components that are billed in arrears together with the product."""
    for item in sub.items:
        price = facts.prices[item.price_id]
        component = facts.components[item.component]
        with_product = component.kind != "one_time" and not own_interval(price, facts.price)
        owed = item.ended_at is None or (component.kind == "metered" and item.id in facts.usage)
        if price.bill == "arrears" and with_product and owed:
            yield item, price, component


def basis(
    price: Price,
    quantity: Decimal,
    part: Portion,
    span: Period | None,
    facts: Facts,
    amounts: Mapping[str, Decimal] | None = None,
) -> dict[str, str | list[int] | list[str] | dict[str, str]]:
    """How the amount is computed, so that it can be derived again (behaviour 3.7)."""
    made: dict[str, str | list[int] | list[str] | dict[str, str]] = {
        "price": price.id,
        "scheme": price.scheme,
        "quantity": str(quantity),
        "portion": [part.numerator, part.denominator],
    }
    if span is not None:
        made["span"] = [instant_text(span.start), instant_text(span.end)]
        made["basis"] = facts.settings.proration_basis
        if part.numerator != part.denominator:
            made["zone"] = facts.zone
            made["every"] = str(price.every or facts.price.every)
    if amounts is not None:
        made["amounts"] = {currency: str(amount) for currency, amount in amounts.items()}
    return made
