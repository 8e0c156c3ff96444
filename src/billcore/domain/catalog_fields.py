"""Reading single values of a catalog file strictly: each error is one message with key path and remedy."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

from attrs import frozen

from billcore.domain.catalog import Periods, did_you_mean
from billcore.domain.instants import FIRST_YEAR, LAST_YEAR, from_local, is_usable
from billcore.domain.money import exponent, parse_minor
from billcore.domain.periods import Duration
from billcore.errors import FileInvalid, InvalidValue

Value = TypeVar("Value")
Parser = Callable[[object, str], Value]

CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
COUNTRY = re.compile(r"[A-Z]{2}")
UNIT_DECIMALS = 12
_NUMBER = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,30}))?")
_PERIODS = re.compile(r"([1-9][0-9]{0,3}) periods?")
_MINUTES = ("second", "minute", "hour")


def invalid(path: str, message: str, remedy: str) -> FileInvalid:
    """The error for the key at `path`; message and remedy are full sentences."""
    where = f"{path}: " if path else ""
    return FileInvalid("catalog_invalid", f"{where}{message}", remedy=remedy, path=path)


@frozen
class Section:
    """One table of the file with its key path; keys that nobody knows are refused when it is opened."""

    data: Mapping[str, object]
    path: str

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def at(self, key: str) -> str:
        """The path of one key of this table."""
        return f"{self.path}.{key}" if self.path else key

    def need(self, key: str, parse: Parser[Value]) -> Value:
        """The value of a key that must be there."""
        if key not in self.data:
            raise invalid(self.at(key), "This key is missing.", f"Add {key} = … to the table.")
        return parse(self.data[key], self.at(key))

    def get(self, key: str, parse: Parser[Value], default: Value) -> Value:
        """The value of a key, or `default` where it is absent."""
        return parse(self.data[key], self.at(key)) if key in self.data else default

    def rows(self, key: str, parse: Parser[Value]) -> tuple[Value, ...]:
        """The values of a list, none where the key is absent."""
        return listed(parse)(self.data[key], self.at(key)) if key in self.data else ()

    def maybe(self, key: str, parse: Parser[Value]) -> Value | None:
        """The value of a key, or None where it is absent."""
        return parse(self.data[key], self.at(key)) if key in self.data else None


def section(keys: Collection[str]) -> Parser[Section]:
    """A parser for a table that may hold these keys and no others."""

    def parse(value: object, path: str) -> Section:
        table = mapping(value, path)
        for key in table:
            if key not in keys:
                where = f"{path}.{key}" if path else key
                raise invalid(where, "This key is not known.", did_you_mean(key, keys))
        return Section(table, path)

    return parse


def mapping(value: object, path: str) -> dict[str, object]:
    """A table with any keys."""
    if not isinstance(value, Mapping):
        raise invalid(path, f"A table is expected, not {_shown(value)}.", "Write it as { key = value }.")
    return {str(key): entry for key, entry in value.items()}


def listed(parse: Parser[Value]) -> Parser[tuple[Value, ...]]:
    """A parser for a list of such values."""

    def parse_list(value: object, path: str) -> tuple[Value, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise invalid(path, f"A list is expected, not {_shown(value)}.", "Write it in [brackets].")
        return tuple(parse(entry, f"{path}[{number}]") for number, entry in enumerate(value))

    return parse_list


def by_code(key: Parser[str], parse: Parser[Value]) -> Parser[dict[str, Value]]:
    """A parser for a table that holds one such value for each code."""

    def parse_table(value: object, path: str) -> dict[str, Value]:
        table = mapping(value, path)
        if not table:
            raise invalid(path, "This table is empty.", "Give it at least one entry, or leave the key out.")
        return {key(name, f"{path}.{name}"): parse(entry, f"{path}.{name}") for name, entry in table.items()}

    return parse_table


def text(value: object, path: str) -> str:
    """A text of 1 to 255 printable characters."""
    string = _string(value, path)
    if not string.strip() or len(string) > 255 or not string.isprintable():
        raise invalid(
            path, f"{_shown(value)} is not a usable text.", "Write 1 to 255 printable characters on one line."
        )
    return string


def optional_text(value: object, path: str) -> str:
    """A text that may be empty."""
    return "" if value == "" else text(value, path)


def code(value: object, path: str) -> str:
    """A code or reference: 1 to 64 letters, digits, "_" and "-"."""
    string = _string(value, path)
    if not CODE.fullmatch(string):
        raise invalid(path, f"{_shown(value)} is not a code.", "Use 1 to 64 of the characters A-Z a-z 0-9 _ and -.")
    return string


def country(value: object, path: str) -> str:
    """A country in two capital letters (ISO 3166)."""
    string = _string(value, path)
    if not COUNTRY.fullmatch(string):
        raise invalid(path, f"{_shown(value)} is not a country.", 'Use its two capital letters, as "DE".')
    return string


def currency(value: object, path: str) -> str:
    """An ISO 4217 currency."""
    string = _string(value, path)
    return _translated(path, lambda: (exponent(string), string)[1])


def choice(*options: str) -> Parser[str]:
    """A parser for one of several words."""

    def parse(value: object, path: str) -> str:
        string = _string(value, path)
        if string not in options:
            raise invalid(path, f"{_shown(value)} is not possible here.", f"Use one of: {', '.join(options)}.")
        return string

    return parse


def flag(value: object, path: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid(path, f"{_shown(value)} is neither true nor false.", "Write true or false, unquoted.")
    return value


def count(least: int) -> Parser[int]:
    """A parser for a whole number of at least `least`."""

    def parse(value: object, path: str) -> int:
        number = quantity(value, path)
        if number != int(number) or number < least:
            raise invalid(path, f"{_shown(value)} is not a count.", f"Write a whole number of at least {least}.")
        return int(number)

    return parse


def quantity(value: object, path: str) -> Decimal:
    """A quantity, not negative: a decimal string or an integer, up to 12 decimals."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return _number(value, path)


def positive(value: object, path: str) -> Decimal:
    """A quantity above zero."""
    number = quantity(value, path)
    if number == 0:
        raise invalid(path, "Zero is not possible here.", "Write a quantity above zero.")
    return number


def percent(value: object, path: str) -> Decimal:
    """A rate in percent, not negative: a decimal string or an integer, up to 12 decimals."""
    return quantity(value, path)


def unit_amount(value: object, path: str) -> Decimal:
    """A unit price in major units, not negative, with up to 12 decimals (behaviour 1.2)."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise invalid(path, f"{value} is not a decimal string.", f'Write "{value}" in quotes.')
    return _number(value, path)


def money(unit: str) -> Parser[Decimal]:
    """A parser for an amount in major units, not negative, with at most the decimals of currency `unit`."""

    def parse(value: object, path: str) -> Decimal:
        number = unit_amount(value, path)
        _translated(path, lambda: parse_minor(str(value), unit))
        return number

    return parse


def moneys(value: object, path: str) -> dict[str, Decimal]:
    """Amounts by currency: { USD = "49.00", EUR = "45.00" }."""
    amounts = by_code(currency, unit_amount)(value, path)
    return {unit: money(unit)(f"{amount:f}", f"{path}.{unit}") for unit, amount in amounts.items()}


def duration(value: object, path: str) -> Duration:
    """A duration of at least one unit, as "14 days"."""
    length = _translated(path, lambda: Duration.parse(_string(value, path)))
    if length.count == 0:
        raise invalid(path, "A duration of nothing is not possible here.", 'Write at least "1 day".')
    return length


def interval(value: object, path: str) -> Duration:
    """A billing interval: a duration in days, weeks, months or years."""
    length = duration(value, path)
    if length.unit in _MINUTES:
        raise invalid(path, f"Nothing is billed every {length}.", 'Use days, weeks, months or years, as "1 month".')
    return length


def length(value: object, path: str) -> Duration | Periods:
    """A duration, or a number of periods as "12 periods"."""
    match = _PERIODS.fullmatch(_string(value, path))
    return Periods(int(match[1])) if match else duration(value, path)


def day(value: object, path: str) -> date:
    """A calendar date, from TOML or as "2026-01-31"."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _no_date(value, path)


def instant(zone: str) -> Parser[datetime]:
    """A parser for an instant; a date means 00:00 that day, a time without an offset is local to `zone`."""

    def parse(value: object, path: str) -> datetime:
        moment = value
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                raise _no_date(value, path) from None
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - local, as the file says
        if not isinstance(moment, datetime) or moment.microsecond:
            raise _no_date(value, path)
        if not is_usable(moment):
            raise invalid(
                path, f"The year {moment.year} is out of range.", f"Use a year from {FIRST_YEAR} to {LAST_YEAR}."
            )
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        local = moment
        return _translated(path, lambda: from_local(local, zone))

    return parse


def _no_date(value: object, path: str) -> FileInvalid:
    return invalid(path, f"{_shown(value)} is not a date.", 'Write it as 2026-01-31, in JSON "2026-01-31".')


def _string(value: object, path: str) -> str:
    if value is None or (isinstance(value, bool | Mapping | Sequence) and not isinstance(value, str)):
        raise invalid(path, f"{_shown(value)} is not possible here.", "Write one string, in quotes.")
    if not isinstance(value, str):
        raise invalid(path, f"{value} is not a string.", f'Write "{value}" in quotes.')
    return value


def _number(value: object, path: str) -> Decimal:
    match = _NUMBER.fullmatch(_string(value, path))
    if match is None:
        raise invalid(path, f"{_shown(value)} is not a decimal number.", 'Write digits with a point, as "49.00".')
    if match[1]:
        raise invalid(path, f"{_shown(value)} is negative.", "Write zero or more.")
    if len((match[3] or "").rstrip("0")) > UNIT_DECIMALS:
        raise invalid(path, f"{_shown(value)} has too many decimals.", f"Write at most {UNIT_DECIMALS}.")
    return Decimal(match[0])


def _translated(path: str, read: Callable[[], Value]) -> Value:
    """What `read` gives; what it refuses becomes an error of the file."""
    try:
        return read()
    except InvalidValue as error:
        raise invalid(path, error.message, error.remedy) from error


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
