"""The closed vocabulary of parameter types; Python, CLI, scenario and HTTP all pass through one converter for each.

A verb annotates its parameters with these names only (a test holds it to that). Every converter takes what a person
or program may write (text, number, date, mapping) and gives the one value that verbs work with, or raises
InvalidValue naming the parameter.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, TypedDict

from attrs import frozen

from billcore.commands.catalog_tables import document_of
from billcore.domain.card_number import names_card
from billcore.domain.extra import ExtraLine
from billcore.domain.instants import FIRST_YEAR, LAST_YEAR, is_usable
from billcore.domain.money import Money
from billcore.domain.periods import Duration, from_local
from billcore.errors import InvalidValue
from billcore.settings import LONGEST_TERMS


class Unset:
    """The type of UNSET: a parameter that was not given, where None means something."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Options(TypedDict, total=False):
    """What every verb takes beside its own parameters (behaviour 15)."""

    idempotency_key: str | None
    dry_run: bool
    actor: str | None


@frozen
class Kind:
    """One type of the vocabulary: `convert(value, zone)`; `metavar` is what help texts show."""

    name: str
    metavar: str
    convert: Callable[[Any, str], Any]
    repeated: bool = False
    keyed: bool = False


def named(what: str, value: object) -> str:
    """The text that names a record, or the id of the record given; raises InvalidValue."""
    try:
        return _ref(value, "")
    except InvalidValue as error:
        raise InvalidValue(f"{what}: {error.message}", remedy=error.remedy, parameter=what) from None


MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)
REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _text(value: Any, _zone: str) -> str:
    if not isinstance(value, str) or len(value) > 10_000 or not _can_be_stored(value):
        raise InvalidValue(f"{value!r:.200} is not a text.", remedy="Give up to 10,000 characters.")
    return value


def _code(value: Any, zone: str) -> str:
    if value == "":
        raise InvalidValue("It is empty.", remedy="Give a value.")
    return _text(value, zone)


def _month(value: Any, zone: str) -> str:
    if MONTH.fullmatch(_text(value, zone)) is None:
        raise InvalidValue(f"{value!r:.200} is not a month.", remedy="Write 2026-01.")
    return str(value)


def _can_be_stored(text: str) -> bool:
    """Whether every database takes it: no NUL, and no half of a surrogate pair, which no encoding has."""
    return text.isprintable() or not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text)


def holding_card(name: str) -> InvalidValue:
    """The refusal of a parameter in which the number of a card stands; it does not repeat the number (promise P10)."""
    return InvalidValue(
        f"{name} holds what looks like a card number.",
        remedy="billcore never stores card numbers: give the token that the gateway made of it, or leave it out.",
        parameter=name,
        card_number=True,
    )


def name_of(option: str, value: object) -> str | None:
    """An option's short text, as of `idempotency_key` and `actor`; raises InvalidValue for anything else."""
    if value is None:
        return None
    if names_card(value, alone=option == "idempotency_key"):
        raise holding_card(option)
    if isinstance(value, str) and 0 < len(value) <= 200 and _can_be_stored(value):
        return value
    raise InvalidValue(f"{option}: {value!r:.200} cannot be one.", remedy="Give 1 to 200 characters.", parameter=option)


def _reference(value: Any, _zone: str) -> str:
    if not isinstance(value, str) or REFERENCE.fullmatch(value) is None:
        raise InvalidValue(f"{value!r} cannot be a reference.", remedy="Use 1 to 64 letters, digits, '-' or '_'.")
    return value


def _ref(value: Any, _zone: str) -> str:
    if isinstance(value, str) and 0 < len(value) <= 200 and _can_be_stored(value):
        return value
    named = getattr(value, "id", None)
    if isinstance(named, str):
        return named
    raise InvalidValue(f"{value!r} names nothing.", remedy="Give a reference or an id.")


def _decimal(value: Any, _zone: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise InvalidValue(f"{value!r} is not an exact number.", remedy='Write it in quotes: "2.5".')
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise InvalidValue(f"{value!r} is not a number.", remedy='Write it like "2.5".') from None
    if not number.is_finite() or abs(number) >= Decimal(10) ** 15:
        raise InvalidValue(f"{value!r} is out of range.", remedy="Use less than 15 digits.")
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -12:
        raise InvalidValue(f"{value!r} has too many decimals.", remedy="Use at most 12.")
    return number


def _quantity(value: Any, zone: str) -> Decimal:
    number = _decimal(value, zone)
    if number < 0:
        raise InvalidValue(f"{value} is negative.", remedy="Give a quantity of 0 or more.")
    return number


def _amount(value: Any, zone: str) -> Decimal | Money:
    if isinstance(value, Money):
        return value
    if isinstance(value, int):
        raise InvalidValue(f"{value!r} could be cents or whole units.", remedy='Write "49.00" or Money(4900, "USD").')
    return _decimal(value, zone)


def instant(value: Any, zone: str) -> datetime:
    """An instant: an aware datetime, a date (00:00 local), or such a text; local to `zone` without an offset."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            raise InvalidValue(
                f"{value!r} is not a date or instant.", remedy="Write 2026-01-31 or 2026-01-31T12:00:00Z."
            ) from None
    if not isinstance(value, date):
        raise InvalidValue(f"{value!r:.200} is not a date or instant.", remedy="Write 2026-01-31.")
    if not is_usable(value):
        raise InvalidValue(f"The year {value.year} is out of range.", remedy=f"Use {FIRST_YEAR} to {LAST_YEAR}.")
    if not isinstance(value, datetime):
        return from_local(datetime.combine(value, time()), zone)
    whole = value.replace(microsecond=0)
    return from_local(whole, zone) if whole.tzinfo is None else whole.astimezone(UTC)


def _precise(value: Any, zone: str) -> datetime:
    moment = instant(value, zone)
    if isinstance(value, str) and len(value) > 10:
        value = datetime.fromisoformat(value)
    return moment.replace(microsecond=value.microsecond) if isinstance(value, datetime) else moment


def _when(value: Any, zone: str) -> str | datetime:
    if value in ("now", "period_end"):
        return str(value)
    return instant(value, zone)


def _term(value: Any, zone: str) -> str | datetime:
    return "evergreen" if value == "evergreen" else instant(value, zone)


def _duration(value: Any, _zone: str) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(_text(value, _zone))


def _flag(value: Any, _zone: str) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "yes", "1", "false", "no", "0"):
        return value in ("true", "yes", "1")
    raise InvalidValue(f"{value!r} is neither true nor false.")


def _whole(value: Any, _zone: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise InvalidValue(f"{value!r:.200} is not a whole number from 0 to 2,147,483,647.")
    return value


def _days(value: Any, zone: str) -> int:
    days = _whole(value, zone)
    if days > LONGEST_TERMS:
        raise InvalidValue(f"{days} days are too long.", remedy=f"Terms are 0 to {LONGEST_TERMS} days.")
    return days


def _billing_day(value: Any, zone: str) -> int:
    day = 31 if value == "end" else _whole(value, zone)
    if not 1 <= day <= 31:
        raise InvalidValue(f"{value!r} is not a billing day.", remedy='Use 1 to 31 or "end".')
    return day


def _new_billing_day(value: Any, zone: str) -> int:
    return 0 if value == "none" else _billing_day(value, zone)


def _quantities(value: Any, zone: str) -> dict[str, Decimal]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{value!r} does not name components.", remedy='Write { seats = "3" }.')
    return {_reference(code, zone): _quantity(quantity, zone) for code, quantity in value.items()}


def _amounts(value: Any, zone: str) -> dict[str, Decimal | Money]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{value!r} does not name invoices.", remedy='Write { "acme/1" = "10.00" }.')
    return {_ref(name, zone): _amount(amount, zone) for name, amount in value.items()}


def _texts(value: Any, zone: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{value!r} does not name fields.", remedy='Write { color = "blue" }.')
    return {_code(name, zone): _text(text, zone) for name, text in value.items()}


def _codes(value: Any, zone: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidValue(f"{value!r} is not a list of codes.", remedy='Write ["WELCOME10"].')
    return tuple(_text(code, zone) for code in value)


def _decimals(value: Any, zone: str) -> tuple[Decimal, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidValue(f"{value!r} is not a list of numbers.", remedy='Write ["10", "2.5"].')
    return tuple(_decimal(number, zone) for number in value)


def _period(value: Any, zone: str) -> tuple[datetime, datetime]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise InvalidValue(f"{value!r} is not a period.", remedy="Write [2026-01-01, 2026-02-01].")
    return instant(value[0], zone), instant(value[1], zone)


LINE_KEYS = ("description", "amount", "quantity", "unit_amount", "tax_code", "tax")
_NEXT_KEY: Final = re.compile(rf";\s*(?=(?:{'|'.join(LINE_KEYS)})=)")


def _lines(value: Any, zone: str) -> tuple[ExtraLine, ...]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise InvalidValue(f"{value!r:.200} is not a list of lines.", remedy=_AS_LINES)
    if not value:
        raise InvalidValue("There is no line.", remedy=_AS_LINES)
    return tuple(_line(_spelled_out(one) if isinstance(one, str) else one, zone) for one in value)


_AS_LINES = 'Write [{ description = "Setup", amount = "10.00" }].'


def _spelled_out(text: str) -> dict[str, str]:
    """description=Setup;amount=10.00 as a mapping; a semicolon within a text is one of it."""
    made: dict[str, str] = {}
    for part in _NEXT_KEY.split(text):
        name, equals, value = part.partition("=")
        if not equals or name.strip() in made:
            raise InvalidValue(
                f"{part!r:.200} {'is there twice' if equals else 'has no name'}.",
                remedy='Write "description=Setup;amount=10.00".',
            )
        made[name.strip()] = value
    return made


def _require_keys(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            raise InvalidValue(
                f"{what} has no key {key!r:.100}.",
                remedy=f"Did you mean {near[0]!r}?" if near else f"Possible: {', '.join(known)}.",
            )


def _line(value: Any, zone: str) -> ExtraLine:
    if isinstance(value, ExtraLine):
        return value
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{value!r:.200} is not a line.", remedy=_AS_LINES)
    _require_keys("A line", value, LINE_KEYS)
    given = {key: part for key, part in value.items() if part is not None}
    description = _text(given.get("description", ""), zone)
    if not description.strip():
        raise InvalidValue("A line has no description.", remedy="Say what is charged: it stands on the invoice.")
    by_unit = ("quantity" in given, "unit_amount" in given)
    if by_unit not in ((False, False), (True, True)) or all(by_unit) == ("amount" in given):
        raise InvalidValue(
            f"Line {description!r:.100} has no amount, or two.",
            remedy="Give amount (the line's total), or quantity together with unit_amount.",
        )
    if given.get("tax", "exclusive") not in ("exclusive", "inclusive"):
        raise InvalidValue(f"tax cannot be {given['tax']!r:.100}.", remedy="Possible: exclusive, inclusive.")
    return ExtraLine(
        description,
        _amount(given["amount"], zone) if "amount" in given else None,
        _quantity(given["quantity"], zone) if all(by_unit) else None,
        _decimal(given["unit_amount"], zone) if all(by_unit) else None,
        _text(given["tax_code"], zone) if "tax_code" in given else None,
        given.get("tax", "exclusive"),
    )


CUSTOM_KEYS = ("amount", "every", "trial", "trial_amount", "setup_fee", "expires_after")


def _custom(value: Any, _zone: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{value!r} is not a custom price.", remedy='Write { amount = "29.00" }.')
    _require_keys("A custom price", value, CUSTOM_KEYS)
    return {key: str(_text(text, _zone)) for key, text in value.items()}


Text = Annotated[str, Kind("text", "TEXT", _text)]
Reference = Annotated[str, Kind("reference", "REFERENCE", _reference)]
CustomerRef = Annotated[str, Kind("customer", "CUSTOMER", _ref)]
SubscriptionRef = Annotated[str, Kind("subscription", "SUBSCRIPTION", _ref)]
InvoiceRef = Annotated[str, Kind("invoice", "INVOICE", _ref)]
CreditNoteRef = Annotated[str, Kind("credit_note", "NOTE", _ref)]
PaymentRef = Annotated[str, Kind("payment", "PAYMENT", _ref)]
RefundRef = Annotated[str, Kind("refund", "REFUND", _ref)]
MethodRef = Annotated[str, Kind("payment_method", "METHOD", _ref)]
MethodRefs = Annotated[Sequence[str], Kind("payment_methods", "METHOD", _codes, repeated=True)]
UsageRef = Annotated[str, Kind("usage", "EVENT", _ref)]
WebhookRef = Annotated[str, Kind("webhook", "WEBHOOK", _ref)]
Code = Annotated[str, Kind("code", "CODE", _code)]
Month = Annotated[str, Kind("month", "MONTH", _month)]
Amount = Annotated[str | Decimal | Money, Kind("amount", "AMOUNT", _amount)]
Quantity = Annotated[str | int | Decimal, Kind("quantity", "QUANTITY", _quantity)]
SignedQuantity = Annotated[str | int | Decimal, Kind("signed_quantity", "QUANTITY", _decimal)]
Amounts = Annotated[Mapping[str, str | Decimal | Money], Kind("amounts", "INVOICE=AMOUNT", _amounts, keyed=True)]
Instant = Annotated[str | date | datetime, Kind("instant", "DATE", instant)]
PreciseInstant = Annotated[str | date | datetime, Kind("instant", "DATE", _precise)]
When = Annotated[str | date | datetime, Kind("when", "now|period_end|DATE", _when)]
Term = Annotated[str | date | datetime, Kind("term", "DATE|evergreen", _term)]
DurationText = Annotated[str | Duration, Kind("duration", "DURATION", _duration)]
Flag = Annotated[bool, Kind("flag", "", _flag)]
Count = Annotated[int, Kind("count", "N", _whole)]
Days = Annotated[int, Kind("days", "DAYS", _days)]
BillingDay = Annotated[int | Literal["end"], Kind("billing_day", "1-31|end", _billing_day)]
NewBillingDay = Annotated[int | Literal["end", "none"], Kind("new_billing_day", "1-31|end|none", _new_billing_day)]
Quantities = Annotated[Mapping[str, str | int | Decimal], Kind("quantities", "CODE=QUANTITY", _quantities, keyed=True)]
Fields = Annotated[Mapping[str, str], Kind("fields", "NAME=TEXT", _texts, keyed=True)]
Codes = Annotated[Sequence[str], Kind("codes", "CODE", _codes, repeated=True)]
Decimals = Annotated[Sequence[str | int | Decimal], Kind("numbers", "NUMBER", _decimals, repeated=True)]
Range = Annotated[Sequence[str | date | datetime], Kind("period", "DATE", _period, repeated=True)]
Custom = Annotated[Mapping[str, str], Kind("custom", "KEY=VALUE", _custom, keyed=True)]
Lines = Annotated[Sequence[Mapping[str, object] | ExtraLine], Kind("lines", "LINE", _lines, repeated=True)]
CatalogData = Annotated[Mapping[str, object], Kind("catalog", "FILE", document_of)]


def as_instant(value: object) -> datetime | None:
    """A converted instant, for the type checker: None where none was given."""
    return value if isinstance(value, datetime) else None


def as_lines(value: Sequence[Mapping[str, object] | ExtraLine]) -> tuple[ExtraLine, ...]:
    """Converted lines, for the type checker."""
    return tuple(line for line in value if isinstance(line, ExtraLine))


def as_day(value: int | str | None) -> int | None:
    """A converted billing day, for the type checker."""
    return value if isinstance(value, int) else None


def as_quantities(value: Mapping[str, str | int | Decimal] | None) -> dict[str, Decimal]:
    """Converted quantities by code, for the type checker."""
    return {code: Decimal(quantity) for code, quantity in (value or {}).items()}
