"""Amounts as callers give them, in minor units of the currency that they are meant in."""

from decimal import Decimal

from billcore.domain.draft import LARGEST
from billcore.domain.money import Money, decimal_text, parse_minor
from billcore.errors import InvalidValue, Refused


def minor_of(amount: str | Decimal | Money, currency: str, parameter: str = "amount") -> int:
    """A converted amount in minor units of `currency`, above zero.

    Raises currency_mismatch for Money in another currency, InvalidValue for more decimals than it has, and for what
    is not above zero or too large for a document.
    """
    minor = signed_minor_of(amount, currency, parameter)
    if minor <= 0:
        raise InvalidValue(
            f"{parameter}: {amount} is not above zero.", remedy='Write it like "10.00".', parameter=parameter
        )
    return minor


def signed_minor_of(amount: str | Decimal | Money, currency: str, parameter: str = "amount") -> int:
    """A converted amount in minor units of `currency`, of either sign; raises as `minor_of` does."""
    if isinstance(amount, Money):
        if amount.currency != currency:
            raise Refused(
                "currency_mismatch",
                f"{parameter}: {amount} is not in {currency}.",
                remedy=f"Give an amount in {currency}.",
                parameter=parameter,
            )
        minor = amount.minor
    else:
        minor = parse_minor(decimal_text(Decimal(amount)), currency)
    if abs(minor) >= LARGEST:
        raise InvalidValue(
            f"{parameter}: {amount} is too large for a document.",
            remedy=f"Amounts stay below {LARGEST} minor units.",
            parameter=parameter,
        )
    return minor


def currency_of(amount: str | Decimal | Money, *known: str | None) -> str:
    """The currency an amount is meant in: its own, or the first that is known."""
    if isinstance(amount, Money):
        return amount.currency
    return next(currency for currency in known if currency is not None)
