"""The lines that usage is billed by: a period rated as a whole, less what was billed for it already (behaviour 12)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import groupby

from billcore.domain.catalog import Component, Price
from billcore.domain.charges import item_line
from billcore.domain.crediting import Parts
from billcore.domain.draft import BasisValue, DraftLine
from billcore.domain.facts import Facts
from billcore.domain.instants import instant_text
from billcore.domain.money import round_exact
from billcore.domain.periods import Period
from billcore.domain.pricing import charge_for, needs_events
from billcore.domain.proration import LineCredit, Portion
from billcore.domain.subscription import Item, Subscription
from billcore.domain.usage import (
    BilledUsage,
    Quantity,
    UsageWindow,
    aggregate,
    measured,
    quantity_text,
    rounded_quantity,
)
from billcore.domain.values import evolve

ADDITIVE = frozenset({"sum", "count"})
"""Aggregations of which a part of a period can be told in units."""


def is_rated_whole(component: Component, price: Price, product_price: Price) -> bool:
    """Whether all events of a period are needed to rate it, and not only what its unbilled ones add up to."""
    summed = component.aggregation == "sum" and component.aggregate_on == "value"
    return not summed or needs_events(price) or bool(product_price.thresholds)


def usage_lines(sub: Subscription, item: Item, facts: Facts, period: Period) -> list[DraftLine]:
    """A metered component's usage of `period`, and a line of its own for each earlier period with late events.

    Every line bills what rating the period again comes to above what its lines billed; where that is less, credits on
    those lines give back the difference.
    """
    total = facts.usage.get(item.id)
    price = facts.prices[item.price_id]
    lines: list[DraftLine] = []
    if total is None or total.now is None:
        used = total.current if total is not None else Decimal(0)
        line = item_line(sub, item, facts, period, None, used, usage=True)
        lines += [line] if line is not None else []
    else:
        lines += rate(sub, item, facts, evolve(total.now, period=period), price)
    for window in total.past if total is not None else ():
        lines += rate(sub, item, facts, window, _billed_at(window, price, facts), late=True)
    return lines


def interim_lines(sub: Subscription, item: Item, facts: Facts, now: datetime) -> list[DraftLine]:
    """What the running period's usage up to `now` comes to above what it billed; its minimum is for its end."""
    total = facts.usage.get(item.id)
    if total is None or total.now is None or total.now.period.start >= now:
        return []
    window = evolve(total.now, period=Period(total.now.period.start, now))
    price = evolve(facts.prices[item.price_id], minimum=None)
    lines = rate(sub, item, facts, window, price, more={"interim": True})
    return [evolve(line, mid_period=True) for line in lines if line.credit is None]


def rate(
    sub: Subscription,
    item: Item,
    facts: Facts,
    window: UsageWindow,
    price: Price,
    *,
    late: bool = False,
    more: Mapping[str, BasisValue] | None = None,
) -> list[DraftLine]:
    """One period rated as a whole, less what its lines billed: a charge line, credits, or nothing.

    A `late` one stands outside of the running period. What was given back of a line for other reasons is not billed
    again, and never more is given back than a line has left.
    """
    component = facts.components[item.component]
    events = measured(window.events, component)
    quantity = aggregate(component.aggregation, events, window, window.period.end)
    values = [one.value for one in events] if needs_events(price) and component.aggregation == "sum" else None
    whole = round_exact(charge_for(price, sub.currency, quantity, events=values))
    before = sum(one.amount for one in window.billed)
    if whole < before:
        return _credits(sub, item, window, before - whole, late=late)
    if whole == before:
        return []
    units = _units(component, window, quantity) if before or late else quantity
    basis = {**_basis(price, component, window, quantity, values), **(more or {})}
    if before:
        basis["less"] = before
    return [
        DraftLine(
            sub.id,
            item.id,
            "usage",
            price.id,
            price.code,
            component.name,
            None if late else window.period,
            rounded_quantity(units),
            whole - before,
            frozenset((component.code, price.code)),
            component.tax_code,
            component.taxable,
            price.tax == "inclusive",
            basis=basis,
        )
    ]


def _basis(
    price: Price, component: Component, window: UsageWindow, quantity: Quantity, values: Sequence[Decimal] | None
) -> dict[str, BasisValue]:
    """How a period's usage is rated, so that it can be derived again; equal values in a row are written once."""
    basis: dict[str, BasisValue] = {
        "price": price.id,
        "scheme": price.scheme,
        "quantity": quantity_text(quantity),
        "portion": [1, 1],
        "rated": [instant_text(window.period.start), instant_text(window.period.end)],
    }
    if component.aggregation != "sum":
        basis["aggregation"] = component.aggregation
    if component.aggregation == "weighted_sum":
        basis["over"] = [instant_text(window.span.start), instant_text(window.span.end)]
    if values is not None:
        basis["events"] = [[str(value), len(list(same))] for value, same in groupby(values)]
    return basis


def _units(component: Component, window: UsageWindow, quantity: Quantity) -> Quantity:
    """How many units a line adds to what was billed: those of the unbilled events where units can be told apart."""
    if component.aggregation not in ADDITIVE:
        return quantity
    events = measured(window.events, component)
    billed = measured([event for event in window.events if event.line_id is not None], component)
    rest = aggregate(component.aggregation, billed, window, window.period.end)
    assert isinstance(rest, Decimal)
    every = aggregate(component.aggregation, events, window, window.period.end)
    assert isinstance(every, Decimal)
    return every - rest


def _billed_at(window: UsageWindow, price: Price, facts: Facts) -> Price:
    """The price that a period was billed at: late usage is not dearer or cheaper than it would have been."""
    used = [one.line.price_id for one in window.billed if one.line.price_id in facts.prices]
    return facts.prices[used[-1] or price.id] if used else price


def _credits(sub: Subscription, item: Item, window: UsageWindow, amount: int, *, late: bool) -> list[DraftLine]:
    """Credits of `amount` minor units, as priced, on a period's lines, the newest first, by what each has left."""
    made = []
    for one in reversed(window.billed):
        part = 0 if one.kept else min(amount, one.left.amount)
        if part > 0:
            amount -= part
            made.append(_credit(sub, item, window, one, part, late=late))
    return made


def _credit(
    sub: Subscription, item: Item, window: UsageWindow, one: BilledUsage, part: int, *, late: bool
) -> DraftLine:
    """`part` of a line's amount given back, with its share of discount and tax (behaviour 3.4)."""
    line = one.line
    share = Portion(one.rated_back.amount + part, line.amount)
    figures = Parts(
        part,
        _of_share(share, line.discount, one.rated_back.discount, one.left.discount),
        _of_share(share, line.tax, one.rated_back.tax, one.left.tax),
        _of_share(share, line.tax_included, one.rated_back.tax_included, one.left.tax_included),
    )
    ended = Period(window.period.end, window.period.end)
    return DraftLine(
        sub.id,
        item.id,
        "usage",
        line.price_id,
        line.code,
        line.description,
        None if late else ended,
        line.quantity,
        -part,
        basis={
            "credits": line.id,
            "billed": [line.amount, line.discount, line.tax],
            "share": [share.numerator, share.denominator],
        },
        credit=LineCredit(-part, -figures.discount, -figures.tax, share, ended, -figures.tax_included),
        credits_line_id=line.id,
    )


def _of_share(share: Portion, billed: int, before: int, left: int) -> int:
    return max(0, min(share.of(billed) - before, left))


def crosses(thresholds: Sequence[Decimal], done: int, amount: Fraction | int, in_minor: Fraction | int) -> bool:
    """Whether `amount` reaches the threshold that comes after `done` interim invoices; the last one repeats.

    `in_minor` is how many minor units a major one has.
    """
    return bool(thresholds) and amount >= Fraction(thresholds[min(done, len(thresholds) - 1)]) * in_minor
