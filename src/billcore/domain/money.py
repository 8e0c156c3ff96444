"""Money: minor units beside a currency, the one rounding and the one way to share an amount (behaviour 1)."""

import difflib
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from attrs import frozen

from billcore.errors import InvalidValue, Refused

# ISO 4217 by number of decimals. ANG and BGN were withdrawn in 2025 and 2026; documents still carry them.
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS "
    "GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL "
    "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK "
    "PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENTS = {code: decimals for decimals, codes in _CODES.items() for code in codes.split()}
_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")

# Amounts stay this far inside a signed 64-bit column, so that two of them still add up in it.
LIMIT = 2**62


def exponent(currency: str) -> int:
    """The number of decimals of a currency: 0, 2, 3, for accounting units 4 (ISO 4217).

    Raises InvalidValue for an unknown code, naming the nearest known ones.
    """
    try:
        return _EXPONENTS[currency]
    except KeyError:
        near = difflib.get_close_matches(currency.upper(), _EXPONENTS, n=3, cutoff=0.6)
        remedy = f"Did you mean {' or '.join(near)}?" if near else "Use an ISO 4217 code such as USD or EUR."
        raise InvalidValue(f"{currency!r} is not a currency.", remedy=remedy, currency=currency, nearest=near) from None


def _checked(minor: int, currency: str) -> int:
    if -LIMIT < minor < LIMIT:
        return minor
    raise InvalidValue(
        f"An amount of {minor} minor units of {currency} is out of range.",
        remedy=f"Amounts stay below {LIMIT} minor units.",
        minor=minor,
        currency=currency,
    )


def parse_minor(text: str, currency: str) -> int:
    """Read a decimal text in major units as minor units: "49.00" USD is 4900.

    Fewer decimals than the currency has are fine, more raise InvalidValue, as does anything but digits, one
    leading minus and one point.
    """
    places = exponent(currency)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{text!r} is not an amount.", remedy='Write it in major units, as "49.00".', text=text)
    sign, whole, decimals = match[1], match[2], match[3] or ""
    if len(decimals) > places:
        raise InvalidValue(
            f"{text!r} has more decimals than {currency}, which has {places}.",
            remedy=f"Round it to {places} decimals." if places else "Write it without decimals.",
            text=text,
            currency=currency,
        )
    minor = _checked(int(whole + decimals.ljust(places, "0")), currency)
    return -minor if sign else minor


def format_minor(minor: int, currency: str) -> str:
    """Write minor units as a decimal text with all the currency's decimals: 4900 USD is "49.00"."""
    places = exponent(currency)
    if not places:
        return str(minor)
    digits = str(abs(minor)).rjust(places + 1, "0")
    return f"{'-' if minor < 0 else ''}{digits[:-places]}.{digits[-places:]}"


@lru_cache(maxsize=16384)
def minor_units(amount: Decimal, currency: str) -> Fraction | int:
    """A major-unit amount as exact minor units: 4.90 USD is 490, 0.0033 USD is 33/100 (behaviour 1.2)."""
    exact = Fraction(amount) * Fraction(10) ** exponent(currency)
    return exact.numerator if exact.denominator == 1 else exact


@frozen
class Money:
    """An amount of one currency, for the rim of the library: parameters, results, printing.

    `minor` is an int in minor units. Anything but an int, an unknown currency and an amount out of range
    raise InvalidValue; two currencies in one operation raise Refused "currency_mismatch" (behaviour 1.1).
    """

    minor: int
    currency: str

    def __attrs_post_init__(self) -> None:
        # A bool is an int to Python, and a float would lose cents; neither is ever meant.
        if type(self.minor) is not int:
            raise InvalidValue(
                f"Money needs whole minor units, not {self.minor!r}.",
                remedy='Use Money.parse("49.00", "USD") for an amount in major units.',
            )
        exponent(self.currency)
        _checked(self.minor, self.currency)

    @classmethod
    def parse(cls, text: str, currency: str) -> "Money":
        """Read a decimal text in major units; errors as in `parse_minor`."""
        return cls(parse_minor(text, currency), currency)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise Refused(
                "currency_mismatch",
                f"{self} and {other} are in different currencies.",
                remedy="Keep amounts apart by currency; nothing is converted.",
            )
        return other.minor

    def __add__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor <= self._same(other)

    def __str__(self) -> str:
        return f"{format_minor(self.minor, self.currency)} {self.currency}"


def round_ratio(numerator: int, denominator: int) -> int:
    """Round an exact ratio to a whole number, half away from zero; denominator > 0 (behaviour 1.2)."""
    if numerator < 0:
        return -((denominator - 2 * numerator) // (2 * denominator))
    return (denominator + 2 * numerator) // (2 * denominator)


def round_exact(value: Fraction | int) -> int:
    """Round an exact amount to whole minor units, half away from zero."""
    if isinstance(value, int):
        return value
    return round_ratio(value.numerator, value.denominator)


def share(amount: int, weights: Sequence[int]) -> list[int]:
    """Share an amount over parts by weight with the largest remainder; the parts add up (behaviour 1.3).

    `amount` is minor units of either sign, weights are >= 0. Equal remainders go to the earlier part. When
    every weight is zero the first part takes all. Raises InvalidValue for a negative weight, or for an amount
    and no part.
    """
    if not weights:
        if amount:
            raise InvalidValue(f"{amount} minor units cannot be shared over no parts.")
        return []
    if min(weights) < 0:
        raise InvalidValue("A part cannot have a negative weight.", weights=tuple(weights))
    total = sum(weights)
    if not total:
        return [amount, *([0] * (len(weights) - 1))]
    size = abs(amount)
    parts: list[int] = []
    remainders: list[int] = []
    for weight in weights:
        whole, remainder = divmod(size * weight, total)
        parts.append(whole)
        remainders.append(remainder)
    left = size - sum(parts)
    if left:
        for index in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:left]:
            parts[index] += 1
    return parts if amount >= 0 else [-part for part in parts]


def decimal_text(value: Decimal) -> str:
    """Write a decimal in its one canonical form, without exponent and trailing zeros: "1", "2.5", "0"."""
    if not value.is_finite():
        raise InvalidValue(f"{value} is not a number that can be counted.")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
