"""Behaviour 2.2: calendar units keep the local wall time, smaller ones are elapsed time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.durations import UNITS, Duration, add
from billcore.errors import InvalidValue


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@given(st.integers(0, 99999), st.sampled_from(UNITS))
def test_a_duration_reads_back_as_it_was_written(count, unit):
    duration = Duration(count, unit)
    assert Duration.parse(str(duration)) == duration


def test_a_duration_is_written_with_its_unit_in_number():
    assert str(Duration(1, "month")) == "1 month"
    assert str(Duration(3, "month")) == "3 months"
    assert Duration.parse("1 years") == Duration(1, "year")


@pytest.mark.parametrize("text", ["", "month", "1", "-1 day", "1.5 days", "1 fortnight", "1 day ", "100000 days"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InvalidValue):
        Duration.parse(text)


def test_a_duration_needs_a_known_unit_and_no_minus():
    with pytest.raises(InvalidValue):
        Duration(1, "decade")
    with pytest.raises(InvalidValue):
        Duration(-1, "day")


def test_a_year_is_twelve_months_and_a_week_seven_days():
    assert Duration(2, "year").months == 24
    assert Duration(2, "week").days == 14
    assert Duration(2, "hour").seconds == 7200
    assert Duration(1, "day").months is None
    assert Duration(1, "month").days is None
    assert Duration(1, "month").seconds is None


def test_months_clamp_to_the_day_of_the_instant_itself():
    month = Duration(1, "month")
    assert add(utc(2026, 1, 31), month, "UTC") == utc(2026, 2, 28)
    assert add(utc(2026, 1, 31), month, "UTC", 2) == utc(2026, 3, 31)
    assert add(utc(2026, 2, 28), month, "UTC") == utc(2026, 3, 28)
    assert add(utc(2026, 3, 31), month, "UTC", -1) == utc(2026, 2, 28)
    assert add(utc(2024, 2, 29), Duration(1, "year"), "UTC") == utc(2025, 2, 28)


def test_days_keep_the_wall_time_where_hours_elapse():
    """New York leaves winter time on 2026-03-08: that day has 23 hours."""
    noon = utc(2026, 3, 7, 17)
    assert add(noon, Duration(1, "day"), "America/New_York") == utc(2026, 3, 8, 16)
    assert add(noon, Duration(24, "hour"), "America/New_York") == utc(2026, 3, 8, 17)


def test_nothing_added_leaves_the_second_of_two_equal_wall_times():
    second = utc(2026, 11, 1, 6, 30)
    assert add(second, Duration(0, "day"), "America/New_York") == second
    assert add(second, Duration(1, "day"), "America/New_York", 0) == second


@pytest.mark.parametrize("text", ["9000 years", "99999 months", "99999 weeks"])
@pytest.mark.parametrize("times", [1000, -1000])
def test_a_date_outside_the_calendar_is_refused(text, times):
    with pytest.raises(InvalidValue):
        add(utc(2026, 1, 1), Duration.parse(text), "UTC", times)
