"""The one module that turns local dates into instants and back (behaviour 2.1)."""

from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from billcore.errors import InvalidValue
from billcore.settings import TIME_OF_DAY

FIRST_YEAR, LAST_YEAR = 1900, 9000
"""Years in which instants are taken: what is counted from them, in any zone, still has a place in a calendar."""

_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The IANA zone of that name; raises InvalidValue when there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidValue(
            f"{name!r} is not a time zone.", remedy='Use an IANA name such as "Europe/Berlin".', zone=name
        ) from None


@lru_cache(maxsize=1440)
def time_of_day(text: str) -> time:
    """Read a local time of day "HH:MM"; raises InvalidValue for anything else."""
    match = TIME_OF_DAY.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{text!r} is not a time of day.", remedy='Write it as "06:00".', text=text)
    return time(int(match[1]), int(match[2]))


def to_utc(local: datetime) -> datetime:
    """The instant of a wall time that carries its zone; gaps and doubles as in `from_local`."""
    zone = local.tzinfo
    # In a gap, fold 0 means the offset before it: as far behind the gap as the wall time is inside it.
    first = local.replace(fold=0) if local.fold else local
    return first if zone is UTC else first.astimezone(UTC)


def from_local(naive: datetime, zone: str) -> datetime:
    """The instant of a wall time in a zone.

    A wall time that the zone skips moves forward by the length of the gap; one that it has twice is the first
    (behaviour 2.2). Raises InvalidValue for an unknown zone.
    """
    return to_utc(naive.replace(tzinfo=zone_of(zone)))


def to_local(instant: datetime, zone: str) -> datetime:
    """The same instant with the zone's wall time.

    Raises InvalidValue for an unknown zone or a naive datetime.
    """
    if instant.tzinfo is None:
        raise InvalidValue(f"{instant} has no time zone.", remedy="Pass aware datetimes.")
    tz = zone_of(zone)
    return instant if tz is instant.tzinfo else instant.astimezone(tz)


def local_date(instant: datetime, zone: str) -> date:
    """The date that a zone's calendar shows at an instant."""
    return to_local(instant, zone).date()


def instant_text(at: datetime) -> str:
    """An instant in UTC as documents and messages write it: 2026-01-31T00:00:00Z."""
    return f"{at.isoformat()[:19]}Z"


def local_text(at: datetime, zone: str) -> str:
    """A local date for people, with the time of day where it is not midnight: "2026-01-31", "2026-01-31 10:00"."""
    local = to_local(at, zone)
    return f"{local:%Y-%m-%d}" if local.hour == local.minute == 0 else f"{local:%Y-%m-%d %H:%M}"


def days_in_month(year: int, month: int) -> int:
    """The number of days of a month, leap years included."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _MONTH_DAYS[month - 1]


def month_index(local: date) -> int:
    """Months since year 0, so that month arithmetic is integer arithmetic."""
    return local.year * 12 + local.month - 1


def in_month(local: datetime, index: int, day: int) -> datetime:
    """The same wall time in the month of that index, on `day` or the month's last day when it is shorter.

    Raises InvalidValue when the month lies outside the years 1 to 9999.
    """
    year, month = divmod(index, 12)
    if not 1 <= year <= 9999:
        raise out_of_calendar()
    month += 1
    if day > 28:
        day = min(day, days_in_month(year, month))
    return local.replace(year=year, month=month, day=day)


def is_usable(day: date) -> bool:
    """Whether a date that somebody gives lies in the years from FIRST_YEAR to LAST_YEAR."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def out_of_calendar() -> InvalidValue:
    """The error for a date that no calendar date can hold."""
    return InvalidValue("The date lies outside the years 1 to 9999.", remedy="Use a shorter duration or a nearer date.")
