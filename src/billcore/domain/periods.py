"""Periods and the schedules that cut time into them (behaviour 2.2, 3.2, 3.3, 7.1)."""

from datetime import date, datetime, timedelta
from typing import Literal, assert_never

from attrs import field, frozen

from billcore.domain.durations import UNITS, Duration, add
from billcore.domain.instants import (
    days_in_month,
    from_local,
    in_month,
    local_date,
    month_index,
    time_of_day,
    to_local,
    to_utc,
    zone_of,
)
from billcore.errors import InvalidValue
from billcore.settings import ProrationBasis

__all__ = [
    "UNITS",
    "Duration",
    "Period",
    "PeriodPolicy",
    "Schedule",
    "add",
    "from_local",
    "is_whole_interval",
    "length",
    "local_date",
    "schedule_from_start",
    "span_of",
    "split",
    "to_local",
    "zone_of",
]

PeriodPolicy = Literal["anchored", "chained"]


@frozen
class Period:
    """A half-open range of time [start, end) of aware UTC instants; empty when both are equal.

    Raises InvalidValue when the end lies before the start (behaviour 2.1).
    """

    start: datetime
    end: datetime

    def __attrs_post_init__(self) -> None:
        if self.end < self.start:
            raise InvalidValue(f"A period cannot end ({self.end}) before it starts ({self.start}).")

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


@frozen
class Schedule:
    """The boundaries anchor + k x every, for every integer k, in one zone (behaviour 2.2, 7.1).

    Without `billing_day` the anchor gives the local day and time of day, clamped month by month. With it (1
    to 31, 31 = the month's last day; month-based intervals only) the anchor is one boundary and gives only
    the month that longer intervals count from; the day is the billing day, the time is `billing_time`.
    `policy` "chained" counts each boundary from the one before, so that a clamped day stays clamped: every
    instant asked about counts as a boundary (behaviour 2.3). A billing day leaves nothing to drift and stays
    anchored. Raises InvalidValue for an interval of nothing, an unknown zone, or a billing day that does not
    fit.
    """

    anchor: datetime
    every: Duration
    zone: str
    billing_day: int | None = None
    billing_time: str = "00:00"
    policy: PeriodPolicy = "anchored"
    # The anchor's wall time, in the zone, with the time of day that every boundary has.
    _local: datetime = field(init=False, eq=False, repr=False)
    _chained: bool = field(init=False, eq=False, repr=False)

    @_local.default
    def _local_default(self) -> datetime:
        local = to_local(self.anchor, self.zone)
        if self.billing_day is None:
            return local
        time = time_of_day(self.billing_time)
        return local.replace(hour=time.hour, minute=time.minute, second=0, microsecond=0)

    @_chained.default
    def _chained_default(self) -> bool:
        return self.policy == "chained" and self.billing_day is None

    def __attrs_post_init__(self) -> None:
        if self.every.count < 1:
            raise InvalidValue(f"A period cannot last {self.every}.", remedy='Use at least "1 day".')
        day = self.billing_day
        if day is None:
            return
        if self.every.months is None:
            raise InvalidValue(
                f"A price of every {self.every} cannot have a billing day.",
                remedy="Use an interval of months or years, or leave the billing day out.",
            )
        if not 1 <= day <= 31:
            raise InvalidValue(f"{day} is not a billing day.", remedy='Use 1 to 31 or "end".')

    def around(self, instant: datetime) -> tuple[datetime, datetime]:
        """The last boundary at or before an instant and the first after it; chained: itself and the next."""
        if self._chained:
            return instant, add(instant, self.every, self.zone)
        k = self._index(instant)
        here = self._at(k)
        if here <= instant:
            after = self._at(k + 1)
            while after <= instant:
                k += 1
                here, after = after, self._at(k + 1)
            return here, after
        # The estimate is at most one off, but for zones that skip a day.
        while True:
            k -= 1
            here, after = self._at(k), here
            if here <= instant:
                return here, after

    def boundary_after(self, instant: datetime) -> datetime:
        """The first boundary strictly after an instant; chained: one interval after it."""
        return self.around(instant)[1]

    def boundary_before(self, instant: datetime) -> datetime:
        """The last boundary strictly before an instant; chained: one interval before it."""
        if self._chained:
            return add(instant, self.every, self.zone, -1)
        here, _ = self.around(instant)
        return here if here < instant else self.around(instant - timedelta.resolution)[0]

    def is_boundary(self, instant: datetime) -> bool:
        """Whether a period starts or ends at an instant; chained: always, as any instant starts a chain."""
        return self.around(instant)[0] == instant

    def first_end(self, start: datetime) -> datetime:
        """The end of a period that starts at `start`, wherever that lies between two boundaries.

        It is the first boundary after `start`, but not one on the same local date: who starts on the billing
        day, before or after the billing time, has a whole period (behaviour 7.1).
        """
        end = self.boundary_after(start)
        if self.billing_day is not None and local_date(end, self.zone) == local_date(start, self.zone):
            return self.boundary_after(end)
        return end

    def _index(self, instant: datetime) -> int:
        """About how many intervals lie between the anchor and an instant."""
        every = self.every
        seconds = every.seconds
        if seconds is not None:
            return (instant - self.anchor) // timedelta(seconds=seconds)
        local = to_local(instant, self.zone)
        months = every.months
        if months is not None:
            return (month_index(local) - month_index(self._local)) // months
        return (local - self._local) // timedelta(days=every.days or 0)

    def _at(self, k: int) -> datetime:
        """The boundary anchor + k x every."""
        every, local = self.every, self._local
        months = every.months
        if months is not None:
            day = self.billing_day
            if day is None:
                # An anchor at the second of two equal wall times stays there.
                if not k:
                    return self.anchor
                day = local.day
            return to_utc(in_month(local, month_index(local) + k * months, day))
        return add(self.anchor, every, self.zone, k)


def schedule_from_start(
    start: datetime,
    every: Duration,
    zone: str,
    billing_day: int | None = None,
    billing_time: str = "00:00",
    policy: PeriodPolicy = "anchored",
) -> Schedule:
    """The schedule of something that starts to be billed at an instant (behaviour 7.1).

    Without a billing day its anchor is the start. With one it is the billing time on the start's local date
    when that is the billing day, else on the first such day after it; the first period ends at
    `first_end(start)`. Raises InvalidValue as Schedule does.
    """
    if billing_day is None:
        return Schedule(start, every, zone, None, billing_time, policy)
    # Checks the values before they are counted with.
    Schedule(start, every, zone, billing_day, billing_time, policy)
    local = to_local(start, zone)
    time = time_of_day(billing_time)
    at = local.replace(hour=time.hour, minute=time.minute, second=0, microsecond=0)
    index = month_index(local)
    if local.day > min(billing_day, days_in_month(local.year, local.month)):
        index += 1
    return Schedule(to_utc(in_month(at, index, billing_day)), every, zone, billing_day, billing_time, policy)


def span_of(period: Period, schedule: Schedule) -> Period:
    """The span that one full price covers, of which a billed period may be a part (behaviour 3.2).

    Between two boundaries: the period itself. Up to a boundary, or short at both ends: the interval that ends
    at the first boundary after its start. From a boundary: the interval that starts there. A start on the
    billing day's local date counts as one at the boundary.
    """
    start = period.start
    before, after = schedule.around(start)
    if before != start and schedule.billing_day is not None:
        today = local_date(start, schedule.zone)
        if local_date(before, schedule.zone) == today:
            before = start
        elif local_date(after, schedule.zone) == today:
            before, after = start, schedule.boundary_after(after)
    return period if before == start and after == period.end else Period(before, after)


def split(period: Period, schedule: Schedule) -> list[Period]:
    """Cut a range at the boundaries inside it, so that every piece lies in one span (behaviour 3.2)."""
    pieces: list[Period] = []
    start, end = period.start, schedule.first_end(period.start)
    while end < period.end:
        pieces.append(Period(start, end))
        start, end = end, schedule.boundary_after(end)
    pieces.append(Period(start, period.end))
    return pieces


def length(period: Period, basis: ProrationBasis, zone: str, every: Duration) -> int:
    """How long a period is in a proration basis (behaviour 3.3).

    second: elapsed seconds. day: calendar days in the zone, so that less than a day counts 0. fixed_30: days
    of 30E/360; intervals of days, weeks or less count real days.
    """
    if basis == "second":
        elapsed = period.end - period.start
        return elapsed.days * 86400 + elapsed.seconds
    start, end = local_date(period.start, zone), local_date(period.end, zone)
    if basis == "day" or every.months is None:
        return end.toordinal() - start.toordinal()
    if basis == "fixed_30":
        return _thirty_days(end) - _thirty_days(start)
    assert_never(basis)


def _thirty_days(day: date) -> int:
    return day.year * 360 + day.month * 30 + min(day.day, 30)


def months_between(period: Period, zone: str) -> int | None:
    """How many whole months a period is by its local dates; None where it is no whole number of them."""
    months = month_index(to_local(period.end, zone)) - month_index(to_local(period.start, zone))
    return months if months > 0 and is_whole_interval(period, zone, months) else None


def is_whole_interval(period: Period, zone: str, months: int) -> bool:
    """Whether a period's local dates lie that many months apart, month ends clamped on either side."""
    start, end = to_local(period.start, zone), to_local(period.end, zone)
    if month_index(end) - month_index(start) != months:
        return False
    return end.day == min(start.day, days_in_month(end.year, end.month)) or start.day == min(
        end.day, days_in_month(start.year, start.month)
    )
