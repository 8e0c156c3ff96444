"""How long durations are, as texts, before any instant is known."""

import re
from collections.abc import Mapping

from billcore.errors import InvalidValue

# A count and a unit, as in "3 days", "1 month", "36 hours".
DURATION = re.compile(r"([0-9]{1,5}) (second|minute|hour|day|week|month|year)s?")

_UNITS: Mapping[str, tuple[str, int]] = {
    "second": ("second", 1),
    "minute": ("second", 60),
    "hour": ("second", 3600),
    "day": ("day", 1),
    "week": ("day", 7),
    "month": ("month", 1),
    "year": ("month", 12),
}
# Fewest and most days that 0 to 11 consecutive calendar months can have.
_FEWEST_DAYS = (0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334)
_MOST_DAYS = (0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337)


def _kind_and_count(text: str) -> tuple[str, int]:
    found = DURATION.fullmatch(text)
    if found is None:
        raise InvalidValue(
            f"{text!r} is no duration.", remedy='Give a duration like "3 days" or "23 hours".', value=text
        )
    kind, size = _UNITS[found[2]]
    return kind, int(found[1]) * size


def _seconds(kind: str, count: int, *, longest: bool) -> int:
    if kind == "second":
        return count
    days = count
    if kind == "month":
        years, months = divmod(count, 12)
        days = years * 366 + _MOST_DAYS[months] if longest else years * 365 + _FEWEST_DAYS[months]
    return days * 86400 + (3600 if longest else -3600)


def surely_longer(longer: str, shorter: str) -> bool:
    """Whether one duration is longer than another from whatever instant, in whatever zone they are counted.

    Durations of one kind (seconds, minutes, hours; days, weeks; months, years) compare by count. Of two
    kinds, the longer one at its shortest must pass the shorter one at its longest: a day has 23 to 25 hours
    where clocks change, n months have between the fewest and the most days that n calendar months can have
    (one: 28 to 31).
    """
    kind, count = _kind_and_count(longer)
    other_kind, other_count = _kind_and_count(shorter)
    if kind == other_kind:
        return count > other_count
    return _seconds(kind, count, longest=False) > _seconds(other_kind, other_count, longest=True)
