"""Amounts in Stripe's units: the currency's smallest one, with Stripe's own idea of which that is.

Source: Stripe's page on supported currencies. ISK is taken as if it had two decimals; MGA, which has two by ISO
4217, as if it had none; currencies with three decimals are taken in steps of ten.
"""

from billcore.plugins.gateway import GatewayMisconfigured, GatewayUnknown, Money

_DECIMALS = {
    currency: decimals
    for decimals, currencies in {
        0: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF",
        3: "BHD JOD KWD OMR TND",
    }.items()
    for currency in currencies.split()
}
# Where billcore counts, by ISO 4217, in another unit than Stripe.
_OWN_DECIMALS = {"ISK": 0, "MGA": 2}
# Stripe's page names UGX among the currencies without decimals and, below, with two: a factor of a hundred in doubt.
# The others have three or four decimals here, and Stripe does not charge in them.
_NOT_TAKEN = frozenset({"UGX", "IQD", "LYD", "CLF", "UYW", "UYI"})


def to_units(money: Money) -> int:
    """An amount as Stripe wants it; raises GatewayMisconfigured, before anything is sent, when there is none."""
    currency = money.currency
    if currency in _NOT_TAKEN:
        raise GatewayMisconfigured(
            f"Stripe cannot be asked for {money}: the unit it would count {currency} in is not certain.",
            remedy="Collect this currency through another gateway.",
            currency=currency,
        )
    numerator, denominator = _factor(currency)
    step = 10 if _DECIMALS.get(currency) == 3 else 1
    units, rest = divmod(money.minor * numerator, denominator)
    if rest or units % step:
        least = Money(max(denominator // numerator, step), currency)
        raise GatewayMisconfigured(
            f"Stripe cannot be asked for {money}: it takes {currency} in steps of {least}.",
            remedy="Round prices in this currency to such steps.",
            currency=currency,
        )
    return units


def to_minor(units: int, currency: str) -> int:
    """An amount of Stripe's in our minor units; raises GatewayUnknown for one that cannot be expressed."""
    numerator, denominator = _factor(currency)
    minor, rest = divmod(units * denominator, numerator)
    if rest:
        raise GatewayUnknown(f"Stripe reports {units} units of {currency}, which is no whole amount.")
    return minor


def _factor(currency: str) -> tuple[int, int]:
    """By what our minor units are multiplied and divided to get Stripe's."""
    if currency in _OWN_DECIMALS:
        shift = _DECIMALS.get(currency, 2) - _OWN_DECIMALS[currency]
        return (10**shift, 1) if shift > 0 else (1, 10**-shift)
    return (1, 1)
