"""Behaviour 3: one rule for what a part of a price costs, and one for what a billed line gives back."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.money import round_exact
from billcore.domain.periods import Duration, Period, Schedule, schedule_from_start, span_of
from billcore.domain.proration import (
    NOTHING,
    WHOLE,
    BilledLine,
    Portion,
    portion,
    portion_across,
    prorate_charge,
    prorate_credit,
)
from billcore.errors import InvalidValue

MONTH = Duration(1, "month")
BASES = st.sampled_from(["second", "day", "fixed_30"])
ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "America/Santiago"])
INSTANTS = st.integers(1_420_070_400, 2_051_222_400).map(lambda n: datetime.fromtimestamp(n, UTC))
EVERY = st.sampled_from([Duration.parse(text) for text in ("1 month", "3 months", "1 year", "1 week", "1 day")])


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@st.composite
def spans(draw):
    """A whole period of some schedule, and an instant inside it."""
    every = draw(EVERY)
    zone = draw(ZONES)
    start = draw(INSTANTS)
    day = draw(st.none() | st.integers(1, 31)) if every.months else None
    schedule = schedule_from_start(start, every, zone, day)
    span = Period(*schedule.around(draw(INSTANTS)))
    seconds = int((span.end - span.start).total_seconds())
    return schedule, span, span.start + timedelta(seconds=draw(st.integers(0, seconds)))


@given(spans(), BASES)
def test_a_part_is_between_nothing_and_the_whole(case, basis):
    schedule, span, cut = case
    for part in (Period(span.start, cut), Period(cut, span.end)):
        share = portion(part, span, basis, schedule.zone, schedule.every)
        assert 0 <= share.numerator <= share.denominator
    assert portion(span, span, basis, schedule.zone, schedule.every) == WHOLE


@given(spans(), st.sampled_from(["second", "day"]))
def test_the_parts_of_a_span_make_the_whole(case, basis):
    schedule, span, cut = case
    parts = [
        portion(part, span, basis, schedule.zone, schedule.every)
        for part in (Period(span.start, cut), Period(cut, span.end))
    ]
    assert sum(Fraction(part.numerator, part.denominator) for part in parts) == 1


@given(spans(), BASES)
def test_changing_to_the_same_price_costs_nothing(case, basis):
    """What the rest of a period costs anew is what its line gives back, so that the net is nothing."""
    schedule, span, cut = case
    rest = portion(Period(cut, span.end), span, basis, schedule.zone, schedule.every)
    billed = BilledLine(4999, 0, 0, span)
    credit = prorate_credit(billed, cut, basis, schedule.zone, schedule.every)
    assert credit.amount == -prorate_charge(4999, rest)


@pytest.mark.parametrize(
    ("basis", "numerator", "denominator"),
    [("second", 15 * 86400, 30 * 86400), ("day", 15, 30), ("fixed_30", 15, 30)],
)
def test_half_of_june_is_half_in_every_basis(basis, numerator, denominator):
    june, rest = Period(utc(2026, 6, 1), utc(2026, 7, 1)), Period(utc(2026, 6, 16), utc(2026, 7, 1))
    assert portion(rest, june, basis, "UTC", MONTH) == Portion(numerator, denominator)


def test_fixed_30_has_30_days_in_a_month_that_starts_or_ends_clamped():
    short = Period(utc(2023, 1, 31), utc(2023, 2, 28))
    assert portion(Period(utc(2023, 2, 15), short.end), short, "fixed_30", "UTC", MONTH) == Portion(13, 30)
    long = Period(utc(2023, 2, 28), utc(2023, 3, 31))
    assert portion(Period(utc(2023, 2, 28, 12), long.end), long, "fixed_30", "UTC", MONTH) == Portion(30, 30)
    quarter = Period(utc(2022, 11, 30), utc(2023, 2, 28))
    part = Period(utc(2023, 1, 30), quarter.end)
    assert portion(part, quarter, "fixed_30", "UTC", Duration(3, "month")) == Portion(28, 90)


def test_fixed_30_measures_a_moved_billing_date_on_its_real_period():
    moved = Period(utc(2026, 1, 10), utc(2026, 1, 25))
    assert portion(Period(utc(2026, 1, 20), moved.end), moved, "fixed_30", "UTC", MONTH) == Portion(5, 15)


def test_fixed_30_counts_real_days_of_weeks():
    week = Period(utc(2026, 1, 29), utc(2026, 2, 5))
    part = Period(utc(2026, 1, 30), week.end)
    assert portion(part, week, "fixed_30", "UTC", Duration(1, "week")) == Portion(6, 7)


def test_in_days_the_day_of_a_change_belongs_to_the_new_state():
    june = Period(utc(2026, 6, 1, 9), utc(2026, 7, 1, 9))
    assert portion(Period(utc(2026, 6, 16, 23), june.end), june, "day", "UTC", MONTH) == Portion(15, 30)


def test_a_span_of_less_than_a_day_is_all_or_nothing_in_days():
    shift = Period(utc(2026, 6, 1, 8), utc(2026, 6, 1, 20))
    hours = Duration(12, "hour")
    assert portion(shift, shift, "day", "UTC", hours) == WHOLE
    assert portion(Period(utc(2026, 6, 1, 9), shift.end), shift, "day", "UTC", hours) == NOTHING


def test_a_range_over_several_spans_is_measured_span_by_span():
    """Half of June (30 days), July, and ten days of August (31 days)."""
    schedule = Schedule(utc(2026, 6, 1), MONTH, "UTC")
    whole = portion_across(Period(utc(2026, 6, 16), utc(2026, 8, 11)), schedule, "day")
    assert Fraction(whole.numerator, whole.denominator) == Fraction(1, 2) + 1 + Fraction(10, 31)
    assert portion_across(Period(utc(2026, 6, 1), utc(2026, 8, 1)), schedule, "day") == Portion(2, 1)
    june = portion_across(Period(utc(2026, 6, 16), utc(2026, 7, 1)), schedule, "day")
    assert june == Portion(15, 30)


def test_a_portion_is_a_part_of_something():
    for numerator, denominator in ((-1, 2), (1, 0), (1, -1)):
        with pytest.raises(InvalidValue):
            Portion(numerator, denominator)
    assert str(Portion(15, 30)) == "15/30"
    assert WHOLE.is_whole
    assert not Portion(15, 30).is_whole


@given(
    st.fractions(min_value=-(10**12), max_value=10**12, max_denominator=10**12) | st.integers(-(10**12), 10**12),
    st.integers(0, 10**7),
    st.integers(1, 10**7),
)
def test_a_charge_is_rounded_once_from_the_exact_price(exact, numerator, denominator):
    charged = prorate_charge(exact, Portion(numerator, denominator))
    assert charged == round_exact(Fraction(exact) * Fraction(numerator, denominator))


def test_a_whole_portion_charges_the_price_itself():
    assert prorate_charge(4900, WHOLE) == 4900
    assert prorate_charge(Fraction(9801, 2), WHOLE) == 4901


def _gave(line, credit, *, by_share):
    """The line after a credit, as the books would hold it."""
    kept = {}
    for name in ("amount", "discount", "tax"):
        back = -getattr(credit, name)
        kept[f"credited_{name}"] = getattr(line, f"credited_{name}") + back
        if by_share:
            kept[f"share_{name}"] = getattr(line, f"share_{name}") + back
    ends = credit.period.start if by_share else line.ended_at
    return evolve(line, ended_at=ends, **kept)


@given(
    spans(),
    BASES,
    st.integers(-(10**7), 10**7),
    st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), max_size=6),
)
def test_all_credits_of_a_line_lie_between_nothing_and_what_was_billed(case, basis, amount, credits_):
    """Any order of credits by share and by amount; a last one from the start gives back exactly the rest."""
    schedule, span, _ = case
    zone, every = schedule.zone, schedule.every
    line = BilledLine(amount, amount // 3, amount // 7, span)
    for by_share, thousandths in [*credits_, (True, 0)]:
        if by_share:
            start = span.start + (span.end - span.start) * thousandths // 1000
            credit = prorate_credit(line, start.replace(microsecond=0), basis, zone, every)
        else:
            rest = prorate_credit(line, span.start, basis, zone, every)
            credit = evolve(
                rest,
                amount=int(Fraction(rest.amount * thousandths, 1000)),
                discount=int(Fraction(rest.discount * thousandths, 1000)),
                tax=int(Fraction(rest.tax * thousandths, 1000)),
            )
        line = _gave(line, credit, by_share=by_share)
        for name in ("amount", "discount", "tax"):
            billed, given_back = getattr(line, name), getattr(line, f"credited_{name}")
            assert 0 <= (given_back if billed >= 0 else -given_back) <= abs(billed)
    assert (line.credited_amount, line.credited_discount, line.credited_tax) == (
        line.amount,
        line.discount,
        line.tax,
    )


def test_a_second_credit_gives_back_only_what_the_first_did_not():
    june = Period(utc(2026, 6, 1), utc(2026, 7, 1))
    line = BilledLine(3000, 300, 513, june)
    first = prorate_credit(line, utc(2026, 6, 16), "day", "UTC", MONTH)
    assert (first.amount, first.discount, first.tax) == (-1500, -150, -257)
    assert first.share == Portion(15, 30)
    assert first.period == Period(utc(2026, 6, 16), utc(2026, 7, 1))
    line = _gave(line, first, by_share=True)
    second = prorate_credit(line, utc(2026, 6, 11), "day", "UTC", MONTH)
    assert (second.amount, second.discount, second.tax) == (-500, -50, -85)
    assert second.share == Portion(20, 30)
    assert second.period == Period(utc(2026, 6, 11), utc(2026, 6, 16))


def test_a_credit_later_than_the_last_gives_nothing_back():
    june = Period(utc(2026, 6, 1), utc(2026, 7, 1))
    line = BilledLine(3000, 0, 0, june, 1500, share_amount=1500, ended_at=utc(2026, 6, 16))
    credit = prorate_credit(line, utc(2026, 6, 20), "day", "UTC", MONTH)
    assert (credit.amount, credit.discount, credit.tax) == (0, 0, 0)
    assert credit.period.start == credit.period.end


def test_after_a_credit_by_amount_the_smaller_of_share_and_rest_is_given_back():
    june = Period(utc(2026, 6, 1), utc(2026, 7, 1))
    half = utc(2026, 6, 16)
    assert prorate_credit(BilledLine(3000, 0, 0, june, 1000), half, "day", "UTC", MONTH).amount == -1500
    assert prorate_credit(BilledLine(3000, 0, 0, june, 2000), half, "day", "UTC", MONTH).amount == -1000
    assert prorate_credit(BilledLine(3000, 0, 0, june, 3000), half, "day", "UTC", MONTH).amount == 0


def test_a_start_outside_the_coverage_gives_back_all_or_nothing():
    june = Period(utc(2026, 6, 1), utc(2026, 7, 1))
    line = BilledLine(3000, 0, 0, june)
    assert prorate_credit(line, utc(2026, 5, 1), "second", "UTC", MONTH).amount == -3000
    after = prorate_credit(line, utc(2026, 7, 1), "second", "UTC", MONTH)
    assert (after.amount, after.period) == (0, Period(utc(2026, 7, 1), utc(2026, 7, 1)))


def test_a_prorated_line_gives_back_its_own_part():
    """22 of 30 days were billed; 15 unused days give back 15/22 of that, which is 15/30 of the price."""
    schedule = schedule_from_start(utc(2023, 5, 23), MONTH, "UTC", 15)
    billed = Period(utc(2023, 5, 23), utc(2023, 6, 15))
    part = portion(billed, span_of(billed, schedule), "fixed_30", "UTC", MONTH)
    assert part == Portion(22, 30)
    line = BilledLine(prorate_charge(100_000_000, part), 0, 0, billed)
    assert line.amount == 73_333_333
    credit = prorate_credit(line, utc(2023, 5, 31), "fixed_30", "UTC", MONTH)
    assert credit.share == Portion(15, 22)
    assert credit.amount == -50_000_000
