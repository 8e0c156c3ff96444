"""Giving a customer a product, whatever he has of its family: which of two prices is the upgrade (behaviour 6.4)."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from billcore.domain.catalog import Price
from billcore.domain.periods import Duration
from billcore.domain.pricing import charge_for

_WEEKS: Mapping[str, Fraction] = {
    "second": Fraction(1, 604800),
    "minute": Fraction(1, 10080),
    "hour": Fraction(1, 168),
    "day": Fraction(1, 7),
    "week": Fraction(1),
    "month": Fraction(4),
    "year": Fraction(48),
}
"""How long an interval counts: a month is four weeks."""


def is_downgrade(old: Price, new: Price, currency: str, quantity: Decimal) -> bool:
    """Whether the new price costs less a month and its interval is not longer: such a change waits for the renewal."""
    assert old.every is not None and new.every is not None
    cheaper = _monthly(new, currency, quantity) < _monthly(old, currency, quantity)
    return cheaper and _weeks(new.every) <= _weeks(old.every)


def _monthly(price: Price, currency: str, quantity: Decimal) -> Fraction:
    assert price.every is not None
    return Fraction(charge_for(price, currency, quantity)) * 4 / _weeks(price.every)


def _weeks(every: Duration) -> Fraction:
    return every.count * _WEEKS[every.unit]
