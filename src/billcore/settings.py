"""Site settings: names, allowed values and defaults (behaviour 16)."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from itertools import pairwise
from string import Formatter
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from attrs import Attribute, asdict, evolve, field, fields, frozen

from billcore.errors import InvalidValue
from billcore.lengths import DURATION, surely_longer

# A local time of day, as in "09:30".
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

ProrationBasis = Literal["second", "day", "fixed_30"]
TaxRounding = Literal["group", "line", "document"]
FinalAction = Literal["cancel", "unpaid", "leave"]
ChangeMode = Literal["prorated", "full", "none"]
LARGEST_GIFT = 10**12
"""No amount of the setting referral_credit is as large, in minor units."""

LONGEST_TERMS = 180
BUILT_IN_TAXES = "rates"
"""The name of the tax engine that has its rates in the catalog."""

# Behaviour 5. The domain stands above this module and has them as a type; a test holds the two together.
_STATES = (
    "pending awaiting_signup trialing active soft_failure past_due unpaid on_hold suspended paused "
    "trial_ended canceled expired failed_to_create"
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_COUNTRY = re.compile(r"[A-Z]{2}|")
_REGISTRATION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_WIDTH = re.compile(r"(0?[0-9]{1,2}d?)?")


@frozen
class DunningPolicy:
    """When a failed collection is tried again, and what happens after the last failure (behaviour 9.5).

    `retry_after` are durations ("3 days") from the first failure that rise strictly; `final` is cancel,
    unpaid or leave.
    """

    retry_after: tuple[str, ...] = ("1 day", "3 days", "5 days", "7 days")
    final: FinalAction = "leave"


@frozen
class Seller:
    """Who sells: where, under which VAT number, and registered for tax in which places ("DE", "US-NY")."""

    country: str = ""
    region: str = ""
    vat_number: str = ""
    registrations: tuple[str, ...] = ()


@frozen
class Settings:
    """One site's settings. Durations are texts like "3 days", terms are days, times of day local ("09:30").

    Values that come from outside are read by `from_mapping`, which checks every one of them.
    """

    timezone: str = "UTC"
    currency: str = "USD"
    proration_basis: ProrationBasis = "second"
    period_policy: Literal["anchored", "chained"] = "anchored"
    billing_time: str = "00:00"
    consolidate: bool = True
    issue_zero_invoices: bool = False
    tax_rounding: TaxRounding = "group"
    tax_engine: str = BUILT_IN_TAXES
    tax_fallback: str | None = None
    tax_wait: str = "3 days"
    seller: Seller = field(factory=Seller)
    signup_decline: Literal["refuse", "past_due"] = "refuse"
    start_decline: Literal["past_due", "failed_to_create"] = "past_due"
    activation_decline: Literal["revert", "past_due"] = "revert"
    change_decline: Literal["keep", "refuse"] = "keep"
    async_signup: Literal["trust", "wait"] = "trust"
    method_fallback: Literal["none", "order"] = "none"
    signup_expires_after: str = "23 hours"
    dunning: DunningPolicy | None = field(factory=DunningPolicy)
    upgrade: ChangeMode = "prorated"
    downgrade: ChangeMode = "prorated"
    invoice_at: Literal["now", "renewal"] = "now"
    net_terms_automatic: int = 0
    net_terms_remittance: int = 30
    apply_credits: Literal["auto", "manual"] = "auto"
    apply_prepayments: Literal["at_issue", "at_due", "manual"] = "at_issue"
    expiry_from: Literal["creation", "activation"] = "creation"
    expiry_follows: bool = False
    service_in: tuple[str, ...] = ("trialing", "active", "soft_failure", "past_due")
    trial_once: Literal["none", "customer", "fingerprint"] = "none"
    referral_coupon: str | None = None
    referral_credit: tuple[tuple[str, int], ...] = ()
    paused: bool = False
    not_found_after: str = "1 hour"
    invoice_number: str = "{number}"
    require_customer_name: bool = True
    require_customer_email: bool = True
    quiet_hours: tuple[str, str] | None = None

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], base: "Settings | None" = None) -> "Settings":
        """Read settings by name, as a scenario's or a site's file gives them (behaviour 16).

        Names that are not given keep the value of `base` (without one, the default); so do the keys not
        given of `dunning`, `net_terms` and `seller`. "none" switches `dunning`, `quiet_hours` and
        `tax_fallback` off. Refused with invalid_value for an unknown name or a value out of its range;
        `facts["setting"]` names it.
        """
        current = cls() if base is None else base
        changes: dict[str, Any] = {}
        for name, value in data.items():
            if name in _WHOLE:
                changes[name] = _WHOLE[name](name, value)
            elif name in _BY_KEY:
                changes.update(_BY_KEY[name](name, value, current))
            else:
                raise _unknown(name, (*_WHOLE, *_BY_KEY), "setting", name)
        return evolve(current, **changes)

    def to_mapping(self, *, changed_only: bool = False) -> dict[str, object]:
        """The settings by name, ready for JSON and for `from_mapping`; or only those not at their default."""
        default = Settings()
        everything = {name: _plain(self, name) for name in (*_WHOLE, *_BY_KEY)}
        if not changed_only:
            return everything
        return {name: value for name, value in everything.items() if value != _plain(default, name)}


_Reader = Callable[[str, object], object]


def _invalid(setting: str, value: object, expected: str) -> InvalidValue:
    return InvalidValue(
        f"{setting} = {value!r} is not a value of this setting.",
        remedy=f"Give {expected}.",
        setting=setting,
        value=value,
    )


def _unknown(key: object, known: Sequence[str], noun: str, setting: str) -> InvalidValue:
    near = get_close_matches(str(key), known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(known)}."
    return InvalidValue(f"There is no {noun} {key!r}.", remedy=hint, setting=setting, nearest=tuple(near))


def _one_of(setting: str, value: object, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise _invalid(setting, value, f"one of {', '.join(choices)}")
    return value


def _matching(setting: str, value: object, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise _invalid(setting, value, expected)
    return value


def _read_engine(setting: str, value: object) -> str | None:
    name = _matching(setting, value, _NAME, 'a tax engine\'s name, or "none"')
    return None if name == "none" else name


def _read_flag(setting: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _invalid(setting, value, "true or false")
    return value


_IN_TEN_YEARS = {
    "second": 315_360_000,
    "minute": 5_256_000,
    "hour": 87_600,
    "day": 3_650,
    "week": 520,
    "month": 120,
    "year": 10,
}


def _read_coupon(setting: str, value: object) -> str | None:
    if not isinstance(value, str) or not value.strip():
        raise _invalid(setting, value, 'a coupon\'s code, or "none"')
    return None if value == "none" else value


def _read_referral_credit(setting: str, value: object) -> tuple[tuple[str, int], ...]:
    expected = 'minor units by currency like { "USD": 1000 }, or "none"'
    if value == "none":
        return ()
    if not isinstance(value, Mapping):
        raise _invalid(setting, value, expected)
    for currency, amount in value.items():
        _matching(setting, currency, _CURRENCY, expected)
        if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount < LARGEST_GIFT:
            raise _invalid(setting, value, expected)
    return tuple(sorted(value.items()))


def _read_duration(setting: str, value: object) -> str:
    found = DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0 or int(found[1]) > _IN_TEN_YEARS[found[2]]:
        raise _invalid(setting, value, 'a positive duration like "3 days" or "23 hours", up to 10 years')
    count = int(found[1])
    return f"{count} {found[2]}" if count == 1 else f"{count} {found[2]}s"


def _read_timezone(setting: str, value: object) -> str:
    expected = 'an IANA zone like "Europe/Berlin" or "UTC"'
    if not isinstance(value, str) or not value:
        raise _invalid(setting, value, expected)
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError) as error:
        raise _invalid(setting, value, expected) from error


def _table(setting: str, value: object, known: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _invalid(setting, value, f"a table with {', '.join(known)}")
    for key in value:
        if key not in known:
            raise _unknown(key, known, f"key of {setting}", f"{setting}.{key}")
    return value


def _list(setting: str, value: object, expected: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise _invalid(setting, value, expected)
    return value


def _read_dunning(name: str, value: object, current: Settings) -> dict[str, object]:
    if value == "none":
        return {name: None}
    table = _table(name, value, ("retry_after", "final"))
    policy = current.dunning or DunningPolicy()
    changes: dict[str, Any] = {}
    if "final" in table:
        changes["final"] = _one_of(f"{name}.final", table["final"], get_args(FinalAction))
    if "retry_after" in table:
        changes["retry_after"] = _rising(f"{name}.retry_after", table["retry_after"])
    return {name: evolve(policy, **changes)}


def _rising(setting: str, value: object) -> tuple[str, ...]:
    given = _list(setting, value, "a list of durations that rise strictly")
    steps = tuple(_read_duration(f"{setting}[{index}]", step) for index, step in enumerate(given))
    for index, (before, after) in enumerate(pairwise(steps), start=1):
        if not surely_longer(after, before):
            raise InvalidValue(
                f"{setting}[{index}] = {after!r} is not always longer than {before!r} before it.",
                remedy="Give durations that rise strictly, all counted from the first failure.",
                setting=f"{setting}[{index}]",
                value=after,
            )
    return steps


def _read_net_terms(name: str, value: object, current: Settings) -> dict[str, object]:
    table = _table(name, value, ("automatic", "remittance"))
    for key, days in table.items():
        if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= LONGEST_TERMS:
            raise _invalid(f"{name}.{key}", days, f"whole days from 0 to {LONGEST_TERMS}")
    return {
        "net_terms_automatic": table.get("automatic", current.net_terms_automatic),
        "net_terms_remittance": table.get("remittance", current.net_terms_remittance),
    }


def _read_seller(name: str, value: object, current: Settings) -> dict[str, object]:
    table = _table(name, value, ("country", "region", "vat_number", "registrations"))
    changes: dict[str, Any] = {}
    for key, given in table.items():
        setting = f"{name}.{key}"
        if key == "registrations":
            expected = 'a list of countries or regions like "DE" or "US-NY"'
            codes = _list(setting, given, expected)
            changes[key] = tuple(_matching(setting, code, _REGISTRATION, expected) for code in codes)
        elif key == "country":
            changes[key] = _matching(setting, given, _COUNTRY, 'a country of two capitals like "DE"')
        elif isinstance(given, str):
            changes[key] = given
        else:
            raise _invalid(setting, given, "a text")
    return {name: evolve(current.seller, **changes)}


def _read_service_in(setting: str, value: object) -> tuple[str, ...]:
    states = _STATES.split()
    given = _list(setting, value, f"a list of {', '.join(states)}")
    return tuple(dict.fromkeys(_one_of(setting, state, states) for state in given))


def _read_quiet_hours(setting: str, value: object) -> tuple[str, ...] | None:
    if value == "none":
        return None
    expected = 'two different local times like ["21:00", "08:00"], or "none"'
    hours = tuple(_matching(setting, hour, TIME_OF_DAY, expected) for hour in _list(setting, value, expected))
    if len(hours) != 2 or hours[0] == hours[1]:
        raise _invalid(setting, value, expected)
    return hours


def _read_invoice_number(setting: str, value: object) -> str:
    expected = "a text with {number} once, and {series} and {year} where wanted; {number:06} fills up with zeros"
    if not isinstance(value, str):
        raise _invalid(setting, value, expected)
    try:
        parts = [part for part in Formatter().parse(value) if part[1] is not None]
    except ValueError as error:
        raise _invalid(setting, value, expected) from error
    for _, placeholder, width, conversion in parts:
        widths = _WIDTH if placeholder == "number" else re.compile("")
        if placeholder not in ("series", "year", "number") or conversion or not widths.fullmatch(width or ""):
            raise _invalid(setting, value, expected)
    if [part[1] for part in parts].count("number") != 1:
        raise _invalid(setting, value, expected)
    return value


_CHECKED: Mapping[str, _Reader] = {
    "timezone": _read_timezone,
    "currency": partial(_matching, pattern=_CURRENCY, expected='an ISO 4217 code like "USD"'),
    "billing_time": partial(_matching, pattern=TIME_OF_DAY, expected='a local time like "09:30"'),
    "tax_engine": partial(_matching, pattern=_NAME, expected="a tax engine's name"),
    "tax_fallback": _read_engine,
    "tax_wait": _read_duration,
    "signup_expires_after": _read_duration,
    "service_in": _read_service_in,
    "referral_coupon": _read_coupon,
    "referral_credit": _read_referral_credit,
    "not_found_after": _read_duration,
    "invoice_number": _read_invoice_number,
    "quiet_hours": _read_quiet_hours,
}


def _reader(attribute: "Attribute[object]") -> _Reader | None:
    """The reader of one field; choices and flags are read as their annotation says."""
    if get_origin(attribute.type) is Literal:
        return partial(_one_of, choices=get_args(attribute.type))
    return _read_flag if attribute.type is bool else _CHECKED.get(attribute.name)


_WHOLE: Mapping[str, _Reader] = {
    attribute.name: reader for attribute in fields(Settings) if (reader := _reader(attribute)) is not None
}
# Settings of several keys, where those not given stay.
_BY_KEY: Mapping[str, Callable[[str, object, Settings], dict[str, object]]] = {
    "dunning": _read_dunning,
    "net_terms": _read_net_terms,
    "seller": _read_seller,
}


def _plain(settings: Settings, name: str) -> object:
    """One setting as JSON has it."""
    if name == "net_terms":
        return {"automatic": settings.net_terms_automatic, "remittance": settings.net_terms_remittance}
    value: object = getattr(settings, name)
    if name == "referral_credit":
        return dict(settings.referral_credit) or "none"
    if value is None:
        return "none"
    if isinstance(value, DunningPolicy | Seller):
        return {key: list(part) if isinstance(part, tuple) else part for key, part in asdict(value).items()}
    return list(value) if isinstance(value, tuple) else value
