"""Behaviour 2.1 and 2.2: local dates become instants in one place."""

# ruff: noqa: DTZ001 - wall times have no zone
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.instants import days_in_month, from_local, local_date, time_of_day, to_local, zone_of
from billcore.errors import InvalidValue


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_a_wall_time_that_does_not_exist_moves_forward():
    assert from_local(datetime(2026, 3, 29, 2, 30), "Europe/Berlin") == utc(2026, 3, 29, 1, 30)
    assert to_local(utc(2026, 3, 29, 1, 30), "Europe/Berlin").hour == 3


def test_a_midnight_that_does_not_exist_moves_to_one_o_clock():
    instant = from_local(datetime(2023, 9, 3), "America/Santiago")
    assert instant == utc(2023, 9, 3, 4)
    assert local_date(instant, "America/Santiago") == date(2023, 9, 3)


def test_a_wall_time_that_exists_twice_is_the_first():
    assert from_local(datetime(2026, 10, 25, 2, 30), "Europe/Berlin") == utc(2026, 10, 25, 0, 30)
    assert from_local(datetime(2026, 10, 25, 2, 30, fold=1), "Europe/Berlin") == utc(2026, 10, 25, 0, 30)


def test_a_day_that_a_zone_left_out_moves_to_the_next():
    """Samoa had no 2011-12-30."""
    instant = from_local(datetime(2011, 12, 30, 12), "Pacific/Apia")
    assert local_date(instant, "Pacific/Apia") == date(2011, 12, 31)


def test_the_local_date_is_the_zone_s():
    assert local_date(utc(2024, 4, 1, 20), "Asia/Tokyo") == date(2024, 4, 2)
    assert local_date(utc(2024, 4, 1, 20), "UTC") == date(2024, 4, 1)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_an_instant_and_its_wall_time_are_the_same_but_for_the_second_of_two(naive, zone):
    instant = naive.replace(tzinfo=UTC, microsecond=0)
    back = from_local(to_local(instant, zone).replace(tzinfo=None), zone)
    assert back == instant or (back < instant and instant - back <= timedelta(hours=1))


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "Europe", "europe berlin"])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(InvalidValue):
        zone_of(name)


def test_an_instant_without_zone_is_refused():
    with pytest.raises(InvalidValue):
        to_local(datetime(2026, 1, 1), "UTC")


@pytest.mark.parametrize("text", ["", "6:00", "24:00", "06:60", "06:00:00", "six"])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(InvalidValue):
        time_of_day(text)


@pytest.mark.parametrize(("year", "days"), [(2023, 28), (2024, 29), (1900, 28), (2000, 29), (2100, 28)])
def test_leap_years_have_a_29th_of_february(year, days):
    assert days_in_month(year, 2) == days
