"""How events become one quantity, and which periods late ones belong to (behaviour 12)."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.periods import Duration, Period, Schedule
from billcore.domain.usage import (
    UsageWindow,
    aggregate,
    measured,
    past_periods,
    quantity_of,
    quantity_text,
    rounded_quantity,
    value_of,
)
from billcore.errors import InvalidValue
from tests.builders import START, component, day, usage_event

JANUARY = Period(START, day("02-01"))
APRIL = Period(day("04-01"), day("05-01"))
HOWS = ("sum", "count", "max", "latest", "unique", "weighted_sum")


def result(how, *events, on="value", period=JANUARY, span=None, level="0", until=None):
    own = component("calls", "metered", aggregation=how, aggregate_on=on)
    window = UsageWindow(period, span or period, events, Decimal(level))
    return aggregate(how, measured(events, own), window, until or period.end)


@pytest.mark.parametrize(("how", "expected"), [("sum", 18), ("count", 4), ("max", 10), ("latest", 3), ("unique", 3)])
def test_each_aggregation_makes_its_quantity_of_the_same_events(how, expected) -> None:
    events = [usage_event(q, at) for q, at in (("3", "01-20"), ("10", "01-05"), ("2", "01-07"), ("3", "01-06"))]
    assert result(how, *events) == expected


@pytest.mark.parametrize("how", HOWS)
def test_a_period_without_events_is_nothing(how) -> None:
    assert result(how) == 0


def test_a_level_lasts_from_its_event_on_and_comes_over_from_the_period_before() -> None:
    """Ten units from the start, five more for the last third, in thirty days."""
    event = usage_event("5", "04-21")
    assert result("weighted_sum", event, period=APRIL, level="10") == Fraction(10) + Fraction(5, 3)
    assert result("weighted_sum", period=APRIL, level="10") == 10


def test_a_level_that_is_given_up_counts_no_longer() -> None:
    events = (usage_event("3", "04-01"), usage_event("-3", "04-11"))
    assert result("weighted_sum", *events, period=APRIL) == 1


def test_a_part_of_a_period_weighs_as_its_part_of_the_whole_span() -> None:
    """Who stops after ten of thirty days owes a third of the level, and not all of it."""
    part = Period(APRIL.start, day("04-11"))
    assert result("weighted_sum", period=part, span=APRIL, level="6") == 2


@pytest.mark.parametrize(("how", "expected"), [("sum", 12), ("max", 8), ("latest", 4), ("unique", 2)])
def test_a_property_is_aggregated_in_place_of_the_quantity(how, expected) -> None:
    events = [usage_event("1", at, properties={"gb": gb}) for at, gb in (("01-02", "8"), ("01-03", "4"))]
    assert result(how, *events, on="gb") == expected


def test_different_texts_of_a_property_are_counted_once_each() -> None:
    events = [usage_event(properties={"user": user}) for user in ("ann", "bob", "ann")]
    assert result("unique", *events, on="user") == 2


@pytest.mark.parametrize(
    ("how", "properties"), [("sum", {}), ("unique", {}), ("max", {"gb": "many"}), ("sum", {"gb": "NaN"})]
)
def test_an_event_without_what_is_measured_is_refused(how, properties) -> None:
    own = component("calls", "metered", aggregation=how, aggregate_on="gb")
    with pytest.raises(InvalidValue, match="gb"):
        value_of(own, Decimal(1), properties)


def test_a_correction_changes_its_event_and_is_none_of_its_own() -> None:
    events = (usage_event("9", "01-05", "a"), usage_event("4", "01-06", "b"), usage_event("-7", "01-05", "a#1"))
    assert {how: result(how, *events) for how in ("sum", "count", "max", "latest", "unique")} == {
        "sum": 6,
        "count": 2,
        "max": 4,
        "latest": 4,
        "unique": 2,
    }


def test_what_was_corrected_to_nothing_is_gone() -> None:
    events = (usage_event("9", "01-05", "a"), usage_event("-9", "01-05", "a#1"))
    assert [result(how, *events) for how in HOWS] == [0] * 6


def test_a_negative_event_takes_one_away_from_the_count() -> None:
    assert result("count", usage_event("1"), usage_event("1"), usage_event("-1")) == 1


amounts = st.lists(st.decimals(-50, 50, places=2), max_size=6)


@given(quantities=amounts, random=st.randoms())
def test_the_order_of_recording_does_not_matter(quantities, random) -> None:
    """Except for what happened in one instant, where the one recorded last is the latest."""
    events = [usage_event(str(q), START + timedelta(hours=n)) for n, q in enumerate(quantities)]
    shuffled = random.sample(events, len(events))
    for how in HOWS:
        assert result(how, *events) == result(how, *shuffled)


@given(quantities=amounts, hour=st.integers(1, 743))
def test_a_level_over_two_parts_of_a_period_is_the_level_over_the_whole(quantities, hour) -> None:
    events = [usage_event(str(q), START + timedelta(hours=97 * n)) for n, q in enumerate(quantities)]
    middle = START + timedelta(hours=hour)
    before = tuple(one for one in events if one.at < middle)
    after = tuple(one for one in events if one.at >= middle)
    level = str(sum((one.quantity for one in before), Decimal(0)))
    first = result("weighted_sum", *before, period=Period(START, middle), span=JANUARY)
    second = result("weighted_sum", *after, period=Period(middle, JANUARY.end), span=JANUARY, level=level)
    assert first + second == result("weighted_sum", *events)


@given(fraction=st.fractions(-1000, 1000), decimal=st.decimals(-1000, 1000, places=6))
def test_a_quantity_is_kept_exactly_and_shown_with_twelve_decimals(fraction, decimal) -> None:
    for quantity in (fraction, decimal):
        assert quantity_of(quantity_text(quantity)) == quantity
        assert abs(Fraction(rounded_quantity(quantity)) - Fraction(quantity)) <= Fraction(1, 2 * 10**12)


MONTHS = Schedule(START, Duration(1, "month"), "UTC")


def test_late_events_change_the_periods_they_fell_in() -> None:
    late = [day("01-20"), day("03-02"), day("01-03")]
    found = past_periods(late, (), MONTHS, START, day("05-01"), carries=False)
    assert found == [JANUARY, Period(day("03-01"), day("04-01"))]


def test_a_level_changes_all_periods_since() -> None:
    found = past_periods([day("02-20")], (), MONTHS, START, day("05-01"), carries=True)
    assert [one.start for one in found] == [day("02-01"), day("03-01"), day("04-01")]


def test_a_past_period_ends_where_the_running_one_begins() -> None:
    """After a hold in the middle of the month the rest of it is a period of its own."""
    (found,) = past_periods([day("01-03")], (), MONTHS, day("01-02"), day("01-10"), carries=False)
    assert found == Period(day("01-02"), day("01-10"))
