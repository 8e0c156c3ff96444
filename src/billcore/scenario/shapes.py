"""What may be expected: the keys of `expect` and how the value of each compares."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import get_args

from attrs import field, frozen

from billcore.commands.parameters import instant
from billcore.domain.invoice import CreditTo, InvoiceStatus, LineKind
from billcore.domain.payment import PaymentStatus
from billcore.domain.states import State
from billcore.errors import FileInvalid, InvalidValue

Canon = Callable[[object, str], object]
"""Value and zone to what compares: equal values of any spelling give equal results; raises InvalidValue."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")


def scenario_invalid(file: str, path: str, message: str, remedy: str) -> FileInvalid:
    """The error for the key at `path`; message and remedy are full sentences."""
    where = f"{file}: {path}: " if path else f"{file}: "
    return FileInvalid("scenario_invalid", f"{where}{message}", remedy=remedy, path=path, file=file)


def did_you_mean(key: str, known: Sequence[str]) -> str:
    """The remedy for a key that nobody knows."""
    near = get_close_matches(key, known, 1)
    return f"Did you mean {near[0]!r}?" if near else f"Possible: {', '.join(sorted(known))}."


def text(value: object, _zone: str) -> object:
    """A text as it is."""
    if not isinstance(value, str):
        raise InvalidValue(f"{value!r} is not a text.", remedy="Write it in quotes.")
    return value


def money(value: object, _zone: str) -> object:
    """An amount in major units."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        raise InvalidValue(f"{value!r} is not an amount.", remedy='Write it in quotes: "49.00".')
    return Decimal(value)


def quantity(value: object, zone: str) -> object:
    """A quantity: a decimal text or a whole number; 3 equals "3.0"."""
    return money(str(value) if isinstance(value, int) and not isinstance(value, bool) else value, zone)


def _or_none(canon: Canon) -> Canon:
    """The same, or "none" for what must not be there."""
    return lambda value, zone: None if value == "none" else canon(value, zone)


def _choice(choices: Sequence[str]) -> Canon:
    def canon(value: object, _zone: str) -> object:
        if value not in choices:
            raise InvalidValue(f"{value!r} is not possible here.", remedy=did_you_mean(str(value), choices))
        return value

    return canon


def period(value: object, zone: str) -> object:
    """Two instants."""
    if value == "none":
        return None
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise InvalidValue(f"{value!r} is not a period.", remedy="Write [2026-01-01, 2026-02-01].")
    return instant(value[0], zone), instant(value[1], zone)


def balance(value: object, zone: str) -> object:
    """An amount, or amounts by currency."""
    if isinstance(value, Mapping):
        return {text(code, zone): money(amount, zone) for code, amount in value.items()}
    return money(value, zone)


def _numbers(value: object, zone: str) -> object:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidValue(f"{value!r} is not a list of numbers.", remedy='Write ["10", "2.5"].')
    return tuple(quantity(number, zone) for number in value)


@frozen
class Shape:
    """The keys of one kind of table, and of its `lines` where it has them."""

    keys: Mapping[str, Canon]
    lines: "Shape | None" = None
    needs: Sequence[str] = field(default=())

    def names(self) -> list[str]:
        """All keys."""
        return [*self.keys, "lines"] if self.lines is not None else list(self.keys)


_INSTANT = _or_none(instant)

LINE = Shape(
    {
        "kind": _choice(get_args(LineKind)),
        "code": _or_none(text),
        "from": _INSTANT,
        "to": _INSTANT,
        "quantity": quantity,
        "amount": money,
        "discount": money,
        "tax": money,
        "tax_included": money,
    }
)
INVOICE = Shape(
    {
        "customer": text,
        "issued": _INSTANT,
        "status": _choice(get_args(InvoiceStatus)),
        "subtotal": money,
        "discount": money,
        "tax": money,
        "tax_included": money,
        "total": money,
        "credited": money,
        "paid": money,
        "due": money,
    },
    LINE,
)
CREDIT_NOTE = Shape({"customer": text, "issued": _INSTANT, "total": money, "to": _choice(get_args(CreditTo))}, LINE)
PAYMENT = Shape({"customer": text, "at": _INSTANT, "amount": money, "status": _choice(get_args(PaymentStatus))})
SUBSCRIPTION = Shape(
    {
        "state": _choice(get_args(State)),
        "price": text,
        "period": period,
        "next_billing": _INSTANT,
    }
)
CUSTOMER = Shape(
    {
        "due": balance,
        "credit": balance,
        "service_credit": balance,
        "prepayment": balance,
        "lifetime_value": balance,
    }
)
QUOTE = Shape(
    {
        "price": text,
        "quantity": quantity,
        "amount": money,
        "events": _numbers,
        "from": instant,
        "to": instant,
        "period": period,
    },
    needs=("price", "amount"),
)

DOCUMENTS: Mapping[str, Shape] = {"invoices": INVOICE, "credit_notes": CREDIT_NOTE, "payments": PAYMENT}
"""Lists in order of creation, complete unless named in `partial`."""

NAMED: Mapping[str, Shape] = {"subscriptions": SUBSCRIPTION, "customers": CUSTOMER}
"""Tables by reference."""

LATER = ("features", "messages", "shipments")
"""Keys of the format that need capabilities this version does not have."""

KEYS = (*DOCUMENTS, *NAMED, "quotes", "partial", *LATER)


def check_expectation(expect: Mapping[str, object], zone: str, file: str, path: str) -> str | None:
    """Refuse what cannot be compared; returns the key that this version lacks, None when it has all.

    Raises FileInvalid scenario_invalid with the key path.
    """
    lacking = None
    for key, value in expect.items():
        at = f"{path}.{key}"
        if key in DOCUMENTS:
            _check_list(value, DOCUMENTS[key], zone, file, at)
        elif key in NAMED:
            for name, table in table_of(value, file, at).items():
                _check_table(table, NAMED[key], zone, file, f"{at}.{name}")
        elif key == "quotes":
            _check_list(value, QUOTE, zone, file, at)
        elif key == "partial":
            _check_partial(value, file, at)
        elif key in LATER:
            lacking = lacking or f"expect.{key}"
        else:
            raise scenario_invalid(file, at, "This key is not known.", did_you_mean(key, KEYS))
    return lacking


def table_of(value: object, file: str, path: str) -> Mapping[str, object]:
    """The value as a table."""
    if not isinstance(value, Mapping):
        raise scenario_invalid(file, path, f"A table is expected, not {value!r}.", "Write { key = value }.")
    return value


def list_of(value: object, file: str, path: str) -> Sequence[object]:
    """The value as a list."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise scenario_invalid(file, path, f"A list is expected, not {value!r}.", "Write it in [brackets].")
    return value


def _check_list(value: object, shape: Shape, zone: str, file: str, path: str) -> None:
    for number, entry in enumerate(list_of(value, file, path)):
        _check_table(entry, shape, zone, file, f"{path}[{number}]")


def _check_table(value: object, shape: Shape, zone: str, file: str, path: str) -> None:
    table = table_of(value, file, path)
    for key, entry in table.items():
        at = f"{path}.{key}"
        if key == "lines" and shape.lines is not None:
            _check_list(entry, shape.lines, zone, file, at)
        elif key not in shape.keys:
            raise scenario_invalid(file, at, "This key is not known.", did_you_mean(key, shape.names()))
        else:
            try:
                shape.keys[key](entry, zone)
            except InvalidValue as error:
                raise scenario_invalid(file, at, error.message, error.remedy) from None
    for key in shape.needs:
        if key not in table:
            raise scenario_invalid(file, f"{path}.{key}", "This key is missing.", f"Add {key} = ….")


def _check_partial(value: object, file: str, path: str) -> None:
    for name in list_of(value, file, path):
        if name not in DOCUMENTS:
            raise scenario_invalid(file, path, f"{name!r} cannot be partial.", f"Possible: {', '.join(DOCUMENTS)}.")
