"""The steps of an explanation as data, and how amounts are written in them."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from attrs import frozen

from billcore.domain.catalog import Coupon, Price
from billcore.domain.invoice import Line
from billcore.domain.money import exponent, format_minor, round_ratio

TIMES = "\N{MULTIPLICATION SIGN}"

Basis = Mapping[str, Any]
"""A line's basis as read from its JSON; its keys are documented where it is made (domain.charges, domain.draft)."""


@frozen
class Step:
    """One step: what is done, and the amount it comes to ("49.00", exact ones as far as needed); "" without one."""

    text: str
    amount: str = ""

    def __str__(self) -> str:
        return f"{self.text} = {self.amount}" if self.amount else self.text


@frozen
class Figures:
    """The four amounts of a line in minor units."""

    amount: int
    discount: int
    tax: int
    tax_included: int

    @property
    def total(self) -> int:
        """What they add to the document."""
        return self.amount - self.discount + self.tax - self.tax_included


@frozen
class Document:
    """An invoice or credit note with everything that its lines refer to.

    `lines` are its own with their bases; `prices` and `coupons` are by id; `billed` are the lines that its credits
    give back from, `earlier` all credits of each of those in order of creation, `documents` the names of where
    they stand. `zone` is the site's, in which times are told.
    """

    name: str
    currency: str
    zone: str
    lines: tuple[tuple[Line, Basis], ...]
    prices: Mapping[str, Price]
    coupons: Mapping[str, Coupon]
    billed: Mapping[str, Line]
    earlier: Mapping[str, tuple[tuple[Line, Basis], ...]]
    documents: Mapping[str, str]


def figures_of(line: Line) -> Figures:
    """A line's amounts as billed."""
    return Figures(line.amount, line.discount, line.tax, line.tax_included)


def exact_text(minor: Fraction | int, currency: str) -> str:
    """An exact amount in major units: as many decimals as it has, at most six beyond the currency's own."""
    if minor.denominator == 1:
        return format_minor(minor.numerator, currency)
    decimals = exponent(currency) + 6
    scaled = Fraction(minor) / 10 ** exponent(currency) * 10**decimals
    whole = round_ratio(scaled.numerator, scaled.denominator)
    sign, digits = ("-" if whole < 0 else ""), f"{abs(whole):0{decimals + 1}}"
    text = f"{sign}{digits[:-decimals]}.{digits[-decimals:].rstrip('0')}"
    return text if scaled.denominator == 1 else f"{text}…"
