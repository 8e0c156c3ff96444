"""Proration: what a part of a price span costs, and what a billed line gives back (behaviour 3)."""

from datetime import datetime
from fractions import Fraction
from typing import Final

from attrs import evolve, frozen

from billcore.domain.money import round_ratio
from billcore.domain.periods import Duration, Period, Schedule, is_whole_interval, length, span_of, split
from billcore.errors import InvalidValue
from billcore.settings import ProrationBasis


@frozen
class Portion:
    """An exact part of a whole, kept unreduced because it is shown: 15 days of 31.

    0 <= numerator <= denominator, unless it counts several spans. Raises InvalidValue for a negative
    numerator or a denominator below 1.
    """

    numerator: int
    denominator: int

    def __attrs_post_init__(self) -> None:
        if self.numerator < 0 or self.denominator < 1:
            raise InvalidValue(f"{self.numerator}/{self.denominator} is not a part of a whole.")

    @property
    def is_whole(self) -> bool:
        """Whether it is all of one span."""
        return self.numerator == self.denominator

    def of(self, amount: int) -> int:
        """This part of an amount in minor units, rounded half away from zero."""
        return round_ratio(amount * self.numerator, self.denominator)

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


WHOLE: Final = Portion(1, 1)
NOTHING: Final = Portion(0, 1)


def portion(part: Period, span: Period, basis: ProrationBasis, zone: str, every: Duration) -> Portion:
    """The part of one span that a period inside it covers: length over length (behaviour 3.2, 3.3).

    A whole span is 1 and no part is more; a part of a span without length (less than a day, counted in days)
    is 0. In fixed_30 a span of whole months counts 30 days for each, whatever days it starts and ends on.
    """
    if part == span:
        return WHOLE
    denominator = length(span, basis, zone, every)
    if basis == "fixed_30":
        months = every.months
        if months is not None and is_whole_interval(span, zone, months):
            denominator = 30 * months
    if denominator < 1:
        return NOTHING
    return Portion(min(length(part, basis, zone, every), denominator), denominator)


def portion_across(period: Period, schedule: Schedule, basis: ProrationBasis) -> Portion:
    """The part of one full price that a range of any length covers, piece by piece between boundaries.

    Each piece is measured on its own span; a range of two intervals and a half of the next is 5/2 (behaviour
    3.2).
    """
    total = NOTHING
    for piece in split(period, schedule):
        part = portion(piece, span_of(piece, schedule), basis, schedule.zone, schedule.every)
        if total.numerator == 0:
            total = part
        elif total.denominator == part.denominator:
            total = Portion(total.numerator + part.numerator, part.denominator)
        else:
            total = Portion(
                total.numerator * part.denominator + part.numerator * total.denominator,
                total.denominator * part.denominator,
            )
    return total


def prorate_charge(exact: Fraction | int, portion: Portion) -> int:
    """The minor units of a charge line: the exact price times its part, rounded once (behaviour 1.2)."""
    if isinstance(exact, int):
        if portion.numerator == portion.denominator:
            return exact
        return round_ratio(exact * portion.numerator, portion.denominator)
    return round_ratio(exact.numerator * portion.numerator, exact.denominator * portion.denominator)


@frozen
class BilledLine:
    """What a line really billed, and what of that was given back already.

    `amount`, `discount` and `tax` are minor units as billed, `tax_included` the part of the tax inside an inclusive
    price; `coverage` is what the line was billed for, before any credit ended it early; `ended_at` is where one did,
    or where a hold parted it. `credited_*` counts everything given back, `share_*` the part of it that was given back
    by share; both have the sign of what was billed.
    """

    amount: int
    discount: int
    tax: int
    coverage: Period
    credited_amount: int = 0
    credited_discount: int = 0
    credited_tax: int = 0
    share_amount: int = 0
    share_discount: int = 0
    share_tax: int = 0
    tax_included: int = 0
    credited_included: int = 0
    share_included: int = 0
    ended_at: datetime | None = None

    def after(self, credit: "LineCredit") -> "BilledLine":
        """The line when a credit by share has given back of it too."""
        return evolve(
            self,
            credited_amount=self.credited_amount - credit.amount,
            credited_discount=self.credited_discount - credit.discount,
            credited_tax=self.credited_tax - credit.tax,
            credited_included=self.credited_included - credit.tax_included,
            share_amount=self.share_amount - credit.amount,
            share_discount=self.share_discount - credit.discount,
            share_tax=self.share_tax - credit.tax,
            share_included=self.share_included - credit.tax_included,
        )


@frozen
class LineCredit:
    """What a line gives back, in minor units of the opposite sign, and for what time.

    `share` is the part of the billed coverage that is unused now, earlier credits included; `period` is what
    this credit adds to them, empty when that is nothing.
    """

    amount: int
    discount: int
    tax: int
    share: Portion
    period: Period
    tax_included: int = 0


def prorate_credit(line: BilledLine, start: datetime, basis: ProrationBasis, zone: str, every: Duration) -> LineCredit:
    """What a billed line gives back when it is not used from `start` on (behaviour 3.4).

    Amount, discount and tax each are -(round(billed x share) - given back by share before), and never more
    than is left of the line. So any sequence of credits gives back between nothing and all, and all at share
    1. A start before the coverage gives back the whole; one at or after its end nothing.
    """
    coverage = line.coverage
    start = min(max(start, coverage.start), coverage.end)
    end = coverage.end if line.ended_at is None else min(line.ended_at, coverage.end)
    part = portion(Period(start, coverage.end), coverage, basis, zone, every)
    return LineCredit(
        amount=-_given_back(line.amount, part, line.share_amount, line.credited_amount),
        discount=-_given_back(line.discount, part, line.share_discount, line.credited_discount),
        tax=-_given_back(line.tax, part, line.share_tax, line.credited_tax),
        share=part,
        period=Period(min(start, end), end),
        tax_included=-_given_back(line.tax_included, part, line.share_included, line.credited_included),
    )


def part_credit(line: BilledLine, start: datetime, part: Portion) -> LineCredit:
    """What a billed line gives back of that `part` of it, used or not; never more than is left (behaviour 6.3)."""
    end = line.coverage.end if line.ended_at is None else line.ended_at
    return LineCredit(
        amount=-_given_back(line.amount, part, 0, line.credited_amount),
        discount=-_given_back(line.discount, part, 0, line.credited_discount),
        tax=-_given_back(line.tax, part, 0, line.credited_tax),
        share=part,
        period=Period(min(start, end), end),
        tax_included=-_given_back(line.tax_included, part, 0, line.credited_included),
    )


def _given_back(billed: int, part: Portion, by_share: int, credited: int) -> int:
    """What is due back of one component of a line, in the sign of what was billed."""
    due, left = part.of(billed) - by_share, billed - credited
    if billed < 0:
        return min(0, max(due, left))
    return max(0, min(due, left))
