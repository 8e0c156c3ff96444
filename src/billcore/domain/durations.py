"""Durations: "1 month", "14 days", and adding them to instants (behaviour 2.2)."""

from datetime import datetime, timedelta
from functools import lru_cache

from attrs import frozen

from billcore.domain.instants import in_month, month_index, out_of_calendar, to_local, to_utc
from billcore.errors import InvalidValue
from billcore.lengths import DURATION

_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}
UNITS = (*_SECONDS, *_DAYS, *_MONTHS)


@frozen
class Duration:
    """A count of one unit: second, minute, hour, day, week, month or year.

    Seconds, minutes and hours are elapsed time; days, weeks, months and years follow the local calendar.
    Raises InvalidValue for a negative count or an unknown unit.
    """

    count: int
    unit: str

    def __attrs_post_init__(self) -> None:
        if self.unit not in UNITS:
            raise InvalidValue(f"{self.unit!r} is not a unit of time.", remedy=f"Use one of {', '.join(UNITS)}.")
        if self.count < 0:
            raise InvalidValue(f"A duration cannot be negative: {self.count} {self.unit}s.")

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read "1 month", "3 months", "36 hours" (singular or plural); raises InvalidValue otherwise."""
        return _parse(text)

    @property
    def months(self) -> int | None:
        """The length in months of a month-based duration (1 year = 12), else None."""
        size = _MONTHS.get(self.unit)
        return None if size is None else self.count * size

    @property
    def days(self) -> int | None:
        """The length in days of a day- or week-based duration, else None."""
        size = _DAYS.get(self.unit)
        return None if size is None else self.count * size

    @property
    def seconds(self) -> int | None:
        """The length in seconds of a duration of seconds, minutes or hours, else None."""
        size = _SECONDS.get(self.unit)
        return None if size is None else self.count * size

    def __str__(self) -> str:
        return f"{self.count} {self.unit}" if self.count == 1 else f"{self.count} {self.unit}s"


@lru_cache(maxsize=1024)
def _parse(text: str) -> Duration:
    match = DURATION.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{text!r} is not a duration.", remedy='Write a count and a unit, as "14 days".', text=text)
    return Duration(int(match[1]), match[2])


def add(instant: datetime, duration: Duration, zone: str, times: int = 1) -> datetime:
    """The instant `times` durations later (earlier when negative), counted in a zone.

    Calendar units keep the local wall time and, for months, the instant's own local day, clamped to the
    month; smaller units are elapsed time. Raises InvalidValue outside the years 1 to 9999 (behaviour 2.2).
    """
    count = duration.count * times
    if not count:
        # The second of two equal wall times must not become the first.
        return instant
    try:
        unit = duration.unit
        if unit in _SECONDS:
            return instant + timedelta(seconds=count * _SECONDS[unit])
        local = to_local(instant, zone)
        if unit in _MONTHS:
            return to_utc(in_month(local, month_index(local) + count * _MONTHS[unit], local.day))
        return to_utc(local + timedelta(days=count * _DAYS[unit]))
    except OverflowError:
        raise out_of_calendar() from None
