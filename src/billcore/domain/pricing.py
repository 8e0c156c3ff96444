"""What a quantity costs at a price for one full period, exactly (behaviour 4.1 and 4.2).

Results are minor units and exact: an int where the amount is a whole number of minor units, else a Fraction.
Rounding happens once per line, after proration, and not here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from billcore.domain.catalog import Price, Tier
from billcore.domain.money import minor_units
from billcore.errors import InvalidValue, Refused

Exact = Fraction | int


def charge_for(
    price: Price,
    currency: str,
    quantity: Decimal | Fraction | int,
    *,
    events: Sequence[Decimal] | None = None,
    amounts: Mapping[str, Decimal] | None = None,
) -> Exact:
    """The charge of `price` with included units, minimum and maximum, in minor units and not rounded.

    Included units are free first; a negative quantity costs nothing. `minimum` and `maximum` bound the line of
    a component; a product's `minimum` is a commitment over all lines of the period and becomes a line of its
    own, so it has no effect here (behaviour 4.2). `amounts` stands in for the price's own (a phase). `events` are
    the single values of a percentage price; without them a `quantity` above zero counts as one event. Raises
    `currency_mismatch` for a currency the price is not sold in.
    """
    units = max(_exact(quantity), 0)
    values = None if events is None else [_exact(event) for event in events]
    if price.included:
        free = _exact(price.included)
        units = max(units - free, 0)
        values = None if values is None else _after_included(values, free)
    amount = _amount(price, currency, units, values, price.amounts if amounts is None else amounts)
    if price.maximum is not None:
        amount = min(amount, minor_units(price.maximum, currency))
    if price.minimum is not None and price.component is not None:
        amount = max(amount, minor_units(price.minimum, currency))
    return amount


def needs_events(price: Price) -> bool:
    """Whether the charge depends on the single events, and not only on what they add up to (behaviour 4.1)."""
    by_event = (price.fixed_per_event, price.minimum_per_event, price.maximum_per_event)
    return price.included_events > 0 or any(value is not None for value in by_event)


def _amount(
    price: Price,
    currency: str,
    units: Exact,
    values: Sequence[Exact] | None,
    amounts: Mapping[str, Decimal],
) -> Exact:
    if price.scheme == "per_unit":
        unit = amounts.get(currency)
        if unit is None:
            raise _wrong_currency(price, currency)
        return _whole(minor_units(unit, currency) * units)
    if price.currency != currency:
        raise _wrong_currency(price, currency)
    match price.scheme:
        case "graduated":
            return _whole(_graduated(price, currency, units))
        case "volume":
            tier = _bracket(price.tiers, units)
            charge = units * minor_units(tier.unit_amount, currency) + minor_units(tier.flat_amount, currency)
            return _whole(charge)
        case "stairstep":
            return minor_units(_bracket(price.tiers, units).flat_amount, currency) if units else 0
        case "package":
            return _whole(_package(price, currency, units))
        case "percentage" | "graduated_percentage":
            return _percentage(price, currency, ([units] if units else []) if values is None else values)
    raise InvalidValue(
        f"Price {price.code!r} has the unknown pricing scheme {price.scheme!r}.",
        remedy="Use per_unit, graduated, volume, stairstep, package, percentage or graduated_percentage.",
    )


def _whole(value: Exact) -> Exact:
    return value.numerator if value.denominator == 1 else value


def _exact(quantity: Decimal | Fraction | int) -> Exact:
    """`quantity` as an exact number; an int where it is whole, for speed."""
    whole = int(quantity)
    return whole if whole == quantity else Fraction(quantity)


def _wrong_currency(price: Price, currency: str) -> Refused:
    sold = ", ".join(sorted(price.amounts)) if price.scheme == "per_unit" else price.currency
    return Refused(
        "currency_mismatch",
        f"Price {price.code!r} is not sold in {currency}.",
        remedy=f"It is sold in {sold}: use a price with an amount in {currency}.",
        price=price.code,
        currency=currency,
    )


def _slices(tiers: Iterable[Tier], units: Exact) -> Iterator[tuple[Tier, Exact]]:
    """Each tier that `units` enters with the part in it; `up_to` is inclusive and 0 enters the first."""
    below: Exact = 0
    for tier in tiers:
        top = None if tier.up_to is None else _exact(tier.up_to)
        if top is None or units <= top:
            yield tier, units - below
            return
        yield tier, top - below
        below = top


def _bracket(tiers: Iterable[Tier], units: Exact) -> Tier:
    """The tier that the whole of `units` falls in."""
    *_, (tier, _part) = _slices(tiers, units)
    return tier


def _graduated(price: Price, currency: str, units: Exact) -> Exact:
    total: Exact = 0
    for tier, part in _slices(price.tiers, units):
        total += part * minor_units(tier.unit_amount, currency) + minor_units(tier.flat_amount, currency)
    return total


def _package(price: Price, currency: str, units: Exact) -> Exact:
    if price.package_size is None or price.package_amount is None:
        raise AssertionError("a package price has a size and an amount")
    packages = -(-units // _exact(price.package_size))
    return packages * minor_units(price.package_amount, currency)


def _percentage(price: Price, currency: str, values: Sequence[Exact]) -> Exact:
    """The rate on each value plus the fixed amount, bounded per event; the first `included_events` are free.

    Tiers fill up in the order of the events, and the first one is entered by the first value that is not free: no
    value owes no flat amount. An event of nothing is an event; a correction (a negative value) is none and gives back
    its rate only.
    """
    free = price.included_events
    seen: Exact = 0
    total: Exact = 0
    for value in values:
        if value >= 0 and free:
            free -= 1
            continue
        before = _share_of_value(price, currency, max(seen, 0))
        seen += value
        amount = _share_of_value(price, currency, max(seen, 0)) - before
        total += _per_event(price, currency, amount) if value >= 0 else amount
    if seen > 0:
        total += _share_of_value(price, currency, 0)
    return _whole(max(total, 0))


def _share_of_value(price: Price, currency: str, value: Exact) -> Exact:
    """The percentage of `value`: of all of it, or tier by tier with the flat amount of each tier entered."""
    if price.rate is not None:
        return Fraction(minor_units(price.rate, currency) * value, 100)
    total: Exact = 0
    for tier, part in _slices(price.tiers, value):
        total += Fraction(minor_units(tier.rate, currency) * part, 100) + minor_units(tier.flat_amount, currency)
    return total


def _per_event(price: Price, currency: str, amount: Exact) -> Exact:
    if price.fixed_per_event is not None:
        amount += minor_units(price.fixed_per_event, currency)
    if price.maximum_per_event is not None:
        amount = min(amount, minor_units(price.maximum_per_event, currency))
    if price.minimum_per_event is not None:
        amount = max(amount, minor_units(price.minimum_per_event, currency))
    return amount


def _after_included(values: Sequence[Exact], included: Exact) -> list[Exact]:
    """What is left of each event when the first `included` units are free; an event that is free whole is left out."""
    left: list[Exact] = []
    for value in values:
        free = min(max(value, 0), included)
        included -= free
        if not 0 < value == free:
            left.append(value - free)
    return left
