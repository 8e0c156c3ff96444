"""Behaviour 2.2, 3.2, 3.3 and 7.1: boundaries derive from the anchor, periods tile time."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.periods import (
    Duration,
    Period,
    Schedule,
    add,
    from_local,
    is_whole_interval,
    length,
    local_date,
    schedule_from_start,
    span_of,
    split,
    to_local,
)
from billcore.errors import InvalidValue

MONTH, QUARTER, YEAR = Duration(1, "month"), Duration(3, "month"), Duration(1, "year")
# A gap at midnight, a gap of half an hour, a whole day left out, odd offsets, both hemispheres.
ZONES = st.sampled_from(
    [
        "UTC",
        "America/New_York",
        "America/Santiago",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Casablanca",
    ]
)
INSTANTS = st.integers(1_199_145_600, 2_208_988_800).map(lambda n: datetime.fromtimestamp(n, UTC))
MONTHLY = st.one_of(
    st.builds(Duration, st.integers(1, 18), st.just("month")),
    st.builds(Duration, st.integers(1, 4), st.just("year")),
)
INTERVALS = st.one_of(
    MONTHLY,
    st.builds(Duration, st.integers(1, 60), st.just("day")),
    st.builds(Duration, st.integers(1, 9), st.just("week")),
    st.builds(Duration, st.integers(1, 100), st.just("hour")),
)
TIMES = st.sampled_from(["00:00", "02:30", "12:00", "23:30"])
FREE = st.builds(Schedule, INSTANTS, INTERVALS, ZONES)
BILLING_DAY = st.builds(schedule_from_start, INSTANTS, MONTHLY, ZONES, st.integers(1, 31), TIMES)
SCHEDULES = st.one_of(FREE, BILLING_DAY)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def boundaries(schedule, start, count):
    found = [start]
    for _ in range(count):
        found.append(schedule.boundary_after(found[-1]))
    return found


@given(SCHEDULES, INSTANTS)
def test_periods_tile_time_without_gap_or_overlap(schedule, instant):
    """Whoever asks from wherever finds the same chain of boundaries, forwards and backwards."""
    before, after = schedule.around(instant)
    assert before <= instant < after
    assert schedule.boundary_after(before) == after
    assert schedule.boundary_before(after) == before
    for earlier, later in pairwise(boundaries(schedule, before, 4)):
        assert earlier < later
        assert schedule.is_boundary(later)
        assert schedule.boundary_before(later) == earlier
        middle = earlier + (later - earlier) // 2
        assert schedule.around(middle) == (earlier, later)
        assert schedule.around(later - timedelta(seconds=1)) == (earlier, later)


@given(FREE)
def test_the_anchor_is_a_boundary(schedule):
    assert schedule.is_boundary(schedule.anchor)
    assert schedule.boundary_after(schedule.boundary_before(schedule.anchor)) == schedule.anchor


@given(FREE, st.integers(-40, 40))
def test_the_nth_boundary_is_the_anchor_plus_n_intervals(schedule, k):
    assert schedule.is_boundary(add(schedule.anchor, schedule.every, schedule.zone, k))


@given(BILLING_DAY, INSTANTS)
def test_a_billing_day_is_the_local_day_of_every_boundary(schedule, instant):
    after = schedule.boundary_after(instant)
    local = to_local(after, schedule.zone)
    hour, minute = map(int, schedule.billing_time.split(":"))
    day = _clamped(local.date(), schedule.billing_day)
    wall = local.replace(tzinfo=None, day=day, hour=hour, minute=minute, fold=0)
    assert from_local(wall, schedule.zone) == after


def _clamped(day, billing_day):
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return min(billing_day, (following - timedelta(days=1)).day)


@given(INSTANTS, MONTHLY, ZONES, st.integers(1, 31), TIMES)
def test_the_first_period_ends_on_the_first_billing_day_after_the_start(start, every, zone, day, time):
    """Never more than a month away, but for a signup on the day itself, which is a whole interval."""
    schedule = schedule_from_start(start, every, zone, day, time)
    end = schedule.first_end(start)
    assert end > start
    assert schedule.is_boundary(end)
    today, last = local_date(start, zone), local_date(end, zone)
    span = span_of(Period(start, end), schedule)
    if today.day == _clamped(today, day):
        months = (last.year - today.year) * 12 + last.month - today.month
        assert months == every.months
        assert span == Period(start, end)
    else:
        assert last.toordinal() - today.toordinal() <= 31
        assert span == Period(schedule.boundary_before(end), end)
        assert span.start < start


def test_the_31st_clamps_and_comes_back():
    found = boundaries(Schedule(utc(2023, 1, 31, 10), MONTH, "UTC"), utc(2023, 1, 31, 10), 14)
    days = [(at.month, at.day) for at in found]
    assert days[:5] == [(1, 31), (2, 28), (3, 31), (4, 30), (5, 31)]
    assert days[12:15] == [(1, 31), (2, 29), (3, 31)]
    assert {at.hour for at in found} == {10}


def test_the_29th_of_february_comes_back_in_leap_years():
    found = boundaries(Schedule(utc(2024, 2, 29), YEAR, "UTC"), utc(2024, 2, 29), 4)
    assert [at.day for at in found] == [29, 28, 28, 28, 29]


def test_a_chained_schedule_keeps_the_clamped_day():
    schedule = Schedule(utc(2025, 10, 31), MONTH, "UTC", policy="chained")
    found = boundaries(schedule, utc(2025, 10, 31), 6)
    assert [at.day for at in found] == [31, 30, 30, 30, 28, 28, 28]
    assert schedule.boundary_before(utc(2026, 3, 28)) == utc(2026, 2, 28)
    assert schedule.is_boundary(utc(2026, 3, 28))


def test_a_chained_schedule_with_a_billing_day_has_nothing_to_drift():
    schedule = schedule_from_start(utc(2025, 10, 31), MONTH, "UTC", 31, policy="chained")
    assert [at.day for at in boundaries(schedule, utc(2025, 10, 31), 4)] == [31, 30, 31, 31, 28]


def test_wall_time_is_kept_across_summer_time():
    schedule = Schedule(utc(2026, 2, 15, 17), MONTH, "America/New_York")
    assert boundaries(schedule, schedule.anchor, 2)[1:] == [utc(2026, 3, 15, 16), utc(2026, 4, 15, 16)]


def test_a_boundary_in_a_gap_moves_forward_and_the_next_is_back_in_place():
    schedule = Schedule(utc(2026, 2, 8, 7, 30), MONTH, "America/New_York")
    found = [to_local(at, schedule.zone) for at in boundaries(schedule, schedule.anchor, 2)]
    assert [(at.day, at.hour, at.minute) for at in found] == [(8, 2, 30), (8, 3, 30), (8, 2, 30)]


def test_a_boundary_that_exists_twice_is_the_first():
    schedule = Schedule(utc(2026, 10, 1, 5, 30), MONTH, "America/New_York")
    assert schedule.boundary_after(schedule.anchor) == utc(2026, 11, 1, 5, 30)


def test_an_anchor_at_the_second_of_two_equal_wall_times_stays_there():
    schedule = Schedule(utc(2026, 11, 1, 6, 30), MONTH, "America/New_York")
    assert schedule.is_boundary(schedule.anchor)
    assert schedule.boundary_after(schedule.anchor) == utc(2026, 12, 1, 6, 30)


def test_a_day_that_a_zone_left_out_makes_one_period_of_two_days():
    schedule = Schedule(utc(2011, 12, 28, 20), Duration(1, "day"), "Pacific/Apia")
    found = boundaries(schedule, schedule.anchor, 3)
    assert [(at - schedule.anchor) // timedelta(hours=1) for at in found] == [0, 24, 48, 72]
    assert [local_date(at, "Pacific/Apia").day for at in found] == [28, 29, 31, 1]


def test_quarters_count_from_the_anchor_s_month():
    schedule = schedule_from_start(utc(2026, 2, 10), QUARTER, "UTC", 15)
    assert [at.date() for at in boundaries(schedule, schedule.first_end(utc(2026, 2, 10)), 2)] == [
        date(2026, 2, 15),
        date(2026, 5, 15),
        date(2026, 8, 15),
    ]


@pytest.mark.parametrize("hour", [3, 8, 20])
def test_a_signup_on_the_billing_day_is_a_whole_period_before_and_after_the_billing_time(hour):
    start = utc(2026, 5, 15, hour)
    schedule = schedule_from_start(start, QUARTER, "UTC", 15, "08:00")
    end = schedule.first_end(start)
    assert end == utc(2026, 8, 15, 8)
    assert span_of(Period(start, end), schedule) == Period(start, end)
    short = Period(start, utc(2026, 6, 1))
    assert span_of(short, schedule) == Period(start, end)


def test_the_billing_day_is_the_zone_s_day():
    """At 20:00 UTC it is the 2nd in Tokyo: the first of the month has passed."""
    schedule = schedule_from_start(utc(2024, 4, 1, 20), MONTH, "Asia/Tokyo", 1)
    assert schedule.first_end(utc(2024, 4, 1, 20)) == utc(2024, 4, 30, 15)


def test_a_billing_day_fits_months_only():
    for every in ("1 week", "30 days", "36 hours"):
        with pytest.raises(InvalidValue):
            schedule_from_start(utc(2026, 1, 1), Duration.parse(every), "UTC", 15)
    for day in (0, 32, -1):
        with pytest.raises(InvalidValue):
            schedule_from_start(utc(2026, 1, 1), MONTH, "UTC", day)


def test_a_schedule_needs_an_interval_and_a_zone():
    with pytest.raises(InvalidValue):
        Schedule(utc(2026, 1, 1), Duration(0, "day"), "UTC")
    with pytest.raises(InvalidValue):
        Schedule(utc(2026, 1, 1), MONTH, "Mars/Base")


def test_a_period_is_half_open_and_never_runs_backwards():
    period = Period(utc(2026, 1, 1), utc(2026, 2, 1))
    assert utc(2026, 1, 1) in period
    assert utc(2026, 2, 1) not in period
    with pytest.raises(InvalidValue):
        Period(utc(2026, 2, 1), utc(2026, 1, 1))


@given(SCHEDULES, INSTANTS)
def test_an_ordinary_period_is_its_own_span(schedule, instant):
    period = Period(*schedule.around(instant))
    assert span_of(period, schedule) == period


@given(SCHEDULES, INSTANTS, st.integers(1, 10**9))
def test_a_range_splits_into_pieces_that_tile_it(schedule, start, seconds):
    every = schedule.every
    long = (every.months or 0) * 2_000_000 + (every.days or 0) * 80_000 + (every.seconds or 0)
    period = Period(start, start + timedelta(seconds=seconds % (long * 5)))
    pieces = split(period, schedule)
    assert pieces[0].start == period.start
    assert pieces[-1].end == period.end
    assert all(one.end == two.start for one, two in pairwise(pieces))
    assert all(schedule.is_boundary(piece.end) for piece in pieces[:-1])


def test_the_span_of_a_short_first_period_ends_at_the_first_boundary():
    """Billing day 31: the month before 28 February starts on 31 January."""
    schedule = schedule_from_start(utc(2023, 2, 10), MONTH, "UTC", 31)
    leading = Period(utc(2023, 2, 10), utc(2023, 2, 28))
    assert span_of(leading, schedule) == Period(utc(2023, 1, 31), utc(2023, 2, 28))
    both = Period(utc(2023, 2, 10), utc(2023, 2, 20))
    assert span_of(both, schedule) == Period(utc(2023, 1, 31), utc(2023, 2, 28))


def test_the_span_of_a_short_last_period_starts_at_the_last_boundary():
    schedule = Schedule(utc(2023, 1, 31), MONTH, "UTC")
    assert span_of(Period(utc(2023, 2, 28), utc(2023, 3, 10)), schedule) == Period(utc(2023, 2, 28), utc(2023, 3, 31))
    chained = Schedule(utc(2023, 1, 31), MONTH, "UTC", policy="chained")
    assert span_of(Period(utc(2023, 2, 28), utc(2023, 3, 10)), chained) == Period(utc(2023, 2, 28), utc(2023, 3, 28))


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (date(2023, 5, 23), date(2023, 6, 15), 22),
        (date(2023, 2, 23), date(2023, 3, 15), 22),
        (date(2023, 1, 31), date(2023, 2, 28), 28),
        (date(2023, 2, 28), date(2023, 3, 31), 32),
        (date(2023, 1, 30), date(2023, 1, 31), 0),
        (date(2023, 1, 31), date(2023, 2, 1), 1),
        (date(2023, 1, 15), date(2024, 1, 15), 360),
    ],
)
def test_fixed_30_counts_every_month_as_30_days(start, end, days):
    period = Period(*(datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (start, end)))
    assert length(period, "fixed_30", "UTC", MONTH) == days
    assert length(period, "fixed_30", "UTC", Duration(1, "week")) == (end - start).days


def test_days_are_calendar_days_of_the_zone_and_seconds_elapse():
    day = Period(utc(2026, 3, 8, 5), utc(2026, 3, 9, 4))
    assert length(day, "day", "America/New_York", MONTH) == 1
    assert length(day, "second", "America/New_York", MONTH) == 23 * 3600
    assert length(Period(utc(2026, 1, 1, 1), utc(2026, 1, 1, 23)), "day", "UTC", MONTH) == 0


@given(BILLING_DAY, INSTANTS)
def test_every_period_between_boundaries_is_a_whole_interval(schedule, instant):
    period = Period(*schedule.around(instant))
    if schedule.zone != "Pacific/Apia":  # which left out a 30th
        assert is_whole_interval(period, schedule.zone, schedule.every.months)


def test_a_cut_period_is_no_whole_interval():
    assert not is_whole_interval(Period(utc(2026, 1, 10), utc(2026, 2, 8)), "UTC", 1)
    assert not is_whole_interval(Period(utc(2026, 1, 10), utc(2026, 3, 10)), "UTC", 1)
