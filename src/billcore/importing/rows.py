"""What one line of the file asks for, in the parameters of the verbs that make it."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from hashlib import blake2b

from attrs import frozen

from billcore.commands.parameters import holding_card, instant
from billcore.domain.card_number import names_card
from billcore.domain.periods import Duration, add
from billcore.errors import InvalidValue
from billcore.importing.mapping import DateRule, ImportMapping, MethodRule, Row, Source, SubscriptionRule

Given = Mapping[str, object]

FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
WHOLE = ("billing_day", "net_terms")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
ISO_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?")
NUMBERS = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})")
MONTH = Duration(1, "month")
MOST_MONTHS = 1200


@frozen
class Wanted:
    """One customer with what he has. A subscription begins at `start` and goes on where `ends` is None."""

    reference: str
    customer: Given
    method: Given | None = None
    subscription: Given | None = None
    start: datetime | None = None
    next_billing: datetime | None = None
    ends: datetime | None = None


def wanted(mapping: ImportMapping, row: Row, site_zone: str) -> Wanted | None:
    """What `row` asks for, None for one that is skipped; raises InvalidValue naming column and value."""
    if any(condition.holds(row) for _, condition in mapping.skip):
        return None
    for _, column in mapping.columns():
        text = row[column]
        if names_card(text, alone=False) and (column not in _keys(mapping) or names_card(text, alone=True)):
            raise holding_card(column)
    reference = mapping.customer["reference"].of(row)
    if not reference:
        raise InvalidValue(f"{_named(mapping.customer['reference'])} is empty.", remedy="Every line needs one.")
    customer = {**_values(mapping.customer, row), "reference": reference}
    fields = _values(mapping.custom_fields, row)
    if fields:
        customer["custom_fields"] = fields
    method = _method(mapping.method, row, reference) if mapping.method is not None else None
    rule = mapping.subscription
    if rule is None or (rule.unless is not None and rule.unless.holds(row)):
        return Wanted(reference, customer, method)
    zone = customer.get("timezone") or site_zone
    assert isinstance(zone, str)
    start = _start(rule, row, reference, zone)
    ends = None
    if rule.canceled is not None and rule.ends is not None and rule.canceled.holds(row):
        ends = _ends(rule.ends, row, start, zone)
    following = _date(rule.next_billing, row, zone) if rule.next_billing is not None else None
    subscription = _subscription(rule, mapping.decimal, row, reference)
    return Wanted(reference, customer, method, subscription, start, following, ends)


def _keys(mapping: ImportMapping) -> frozenset[str]:
    """Columns with keys of the host or tokens of gateways, which may have any digits in them."""
    rules = (mapping.customer, mapping.subscription.values if mapping.subscription else {})
    sources = [values["reference"] for values in rules if "reference" in values]
    sources += [mapping.method.token] if mapping.method is not None else []
    return frozenset(column for source in sources for column in source.columns())


def _subscription(rule: SubscriptionRule, decimal: str, row: Row, reference: str) -> Given:
    price = rule.price.of(row)
    if price is None:
        raise InvalidValue(f"{_named(rule.price)} is empty.", remedy="A subscription needs a price.")
    made = {"reference": reference, **_values(rule.values, row), "price": price}
    if "quantity" in made:
        made["quantity"] = _number(rule.values["quantity"], str(made["quantity"]), decimal)
    text = rule.amount.of(row) if rule.amount is not None else None
    if text is not None:
        assert rule.amount is not None
        made["custom"] = {"amount": _number(rule.amount, text, decimal)}
    return made


def _method(rule: MethodRule, row: Row, reference: str) -> Given | None:
    token = rule.token.of(row)
    if token is None:
        return None
    gateway = rule.gateway.of(row)
    if gateway is None:
        raise InvalidValue(f"{_named(rule.gateway)} is empty.", remedy="A payment method needs its gateway.")
    if rule.shares:
        place = _draw(reference, "share", 100)
        for share in rule.shares:
            if place < share.percent:
                token = share.token
                break
            place -= share.percent
    return {"token": token, "gateway": gateway, **_values(rule.others, row)}


def _values(sources: Mapping[str, Source], row: Row) -> dict[str, object]:
    """The values that the row has, as the parameters of their names take them."""
    made: dict[str, object] = {}
    for name, source in sources.items():
        text = source.of(row)
        if text is None:
            continue
        if name == "tax_exempt":
            flag = FLAGS.get(text.lower())
            if flag is None:
                raise InvalidValue(f"{_named(source)} is {text!r}.", remedy="Write yes or no, or give a map.")
            made[name] = flag
        elif name in WHOLE and text != "end":
            made[name] = _whole(_named(source), text)
        else:
            made[name] = text
    return made


def _start(rule: SubscriptionRule, row: Row, reference: str, zone: str) -> datetime:
    """When billing began or begins.

    Counted from months, `reference` is the last day that the file tells of: who is still here is in the last
    of these months on it, who left has completed them all.
    """
    counted = rule.start
    if counted.months is None:
        start = _date(counted, row, zone)
        if start is None:
            raise InvalidValue(f"{_named_rule(counted)} is empty.", remedy="A subscription needs its start.")
        return start
    assert counted.reference is not None
    left = rule.canceled is not None and rule.canceled.holds(row)
    months = _whole(counted.months, row[counted.months])
    day = date.fromordinal(counted.reference.toordinal() - _draw(reference, "start", counted.spread))
    return add(instant(day, zone), MONTH, zone, -months if left else 1 - months)


def _ends(rule: DateRule, row: Row, start: datetime, zone: str) -> datetime | None:
    if rule.months is not None:
        return add(start, MONTH, zone, _whole(rule.months, row[rule.months]))
    return _date(rule, row, zone)


def _date(rule: DateRule, row: Row, zone: str) -> datetime | None:
    """The instant that a row names; a date is 00:00 local. None where it names none."""
    assert rule.source is not None
    text = rule.source.of(row)
    if text is None:
        return None
    try:
        return instant(_ordered(text, rule.order), zone)
    except (InvalidValue, ValueError):
        raise InvalidValue(
            f"{_named_rule(rule)} is {text!r}, which is no date.",
            remedy=f"The mapping says that it is written in the order {rule.order}."
            if rule.order is not None
            else f'Write it like 2026-01-31, or name its order ("DMY", "MDY") in {rule.path}.',
        ) from None


@lru_cache(maxsize=65_536)
def _ordered(text: str, order: str | None) -> date | str:
    if order is None:
        if ISO_DATE.fullmatch(text) is None and ISO_INSTANT.fullmatch(text) is None:
            raise ValueError(text)
        return text
    parts = NUMBERS.fullmatch(text)
    if parts is None:
        raise ValueError(text)
    named = dict(zip(order, (int(part) for part in parts.groups()), strict=True))
    if named["Y"] < 1000:
        raise ValueError(text)
    return date(named["Y"], named["M"], named["D"])


def _number(source: Source, text: str, sign: str) -> str:
    """An exact number as the verbs take it. Signs for thousands are refused: they may be decimal signs."""
    plain = text.replace(",", ".") if sign == "," and "." not in text else text
    try:
        number = Decimal(plain)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+|[0-9]+\.", plain):
        raise InvalidValue(
            f"{_named(source)} is {text!r}, which is no number.",
            remedy=f"Write it like 1234{sign}50, without spaces, currency or signs for thousands.",
        )
    if number < 0:
        raise InvalidValue(f"{_named(source)} is {text}, below zero.", remedy="Amounts are zero or more.")
    return plain


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or int(text) > MOST_MONTHS:
        raise InvalidValue(f"{name} is {text!r}, which is no whole number.", remedy=f"Write 0 to {MOST_MONTHS}.")
    return int(text)


def _draw(reference: str, purpose: str, sides: int) -> int:
    """A number below `sides`, always the same for a reference."""
    if sides == 1:
        return 0
    return int.from_bytes(blake2b(f"{purpose}:{reference}".encode(), digest_size=4).digest(), "big") % sides


def _named(source: Source) -> str:
    return source.column or source.path


def _named_rule(rule: DateRule) -> str:
    return _named(rule.source) if rule.source is not None else rule.path
