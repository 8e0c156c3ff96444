"""Values as plain data: for JSON output, the audit log and replayed results."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import fields, has

from billcore.domain.catalog import Periods
from billcore.domain.money import Money, decimal_text
from billcore.domain.periods import Duration

if TYPE_CHECKING:
    from cattrs import Converter


def instant_text(at: datetime) -> str:
    """An instant as text: 2026-01-31T00:00:00Z, with microseconds only where it has them."""
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def to_plain(value: Any) -> Any:
    """A result as dicts, lists, texts, whole numbers, booleans and None."""
    match value:
        case None | bool() | int() | str():
            return value
        case datetime():
            return instant_text(value)
        case date():
            return value.isoformat()
        case Decimal():
            return decimal_text(value)
        case Duration() | Periods():
            return str(value)
        case Money():
            return {"minor": value.minor, "currency": value.currency}
        case Mapping():
            return {str(key): to_plain(part) for key, part in value.items()}
        case list() | tuple():
            return [to_plain(part) for part in value]
        case set() | frozenset():
            return sorted(to_plain(part) for part in value)
    if has(type(value)):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(type(value))}
    raise TypeError(f"{type(value).__name__} has no plain form")


def to_json(value: Any) -> str:
    """A result as one line of JSON with sorted keys: equal values give equal texts."""
    return json.dumps(to_plain(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def from_plain(data: Any, kind: Any) -> Any:
    """The value of type `kind` that `to_plain` made plain."""
    return _converter().structure(data, kind)


def _converter() -> "Converter":
    from cattrs import Converter

    made = Converter()
    made.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    made.register_structure_hook(date, lambda text, _: date.fromisoformat(text))
    made.register_structure_hook(Decimal, lambda text, _: Decimal(text))
    made.register_structure_hook(Duration, lambda text, _: Duration.parse(text))
    made.register_structure_hook(Periods, lambda text, _: Periods(int(text.split()[0])))
    # A coupon's duration is a union of texts, periods and durations: its text says which.
    made.register_structure_hook_func(lambda kind: "Periods" in str(kind), lambda text, _: _duration(text))
    made.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    return made


def _duration(text: str | None) -> str | Periods | Duration | None:
    if text is None or text in ("once", "forever"):
        return text
    if text.split()[1].startswith("period"):
        return Periods(int(text.split()[0]))
    return Duration.parse(text)
