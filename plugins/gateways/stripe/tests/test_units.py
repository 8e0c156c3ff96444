"""Amounts as Stripe counts them: a factor of a hundred is the costliest mistake there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.plugins.gateway import GatewayMisconfigured, GatewayUnknown, Money
from billcore_gateway_stripe.units import to_minor, to_units


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("49.00", "USD", 4900),
        ("49.99", "EUR", 4999),
        ("500", "JPY", 500),
        ("500", "KRW", 500),
        ("500", "XAF", 500),
        ("5.120", "KWD", 5120),
        ("1.000", "BHD", 1000),
        ("5", "ISK", 500),
        ("500.00", "MGA", 500),
        ("10.45", "HUF", 1045),
        ("800.45", "TWD", 80045),
    ],
)
def test_an_amount_goes_out_in_stripes_unit_and_comes_back(amount, currency, units):
    money = Money.parse(amount, currency)
    assert to_units(money) == units
    assert to_minor(units, currency) == money.minor


@pytest.mark.parametrize(
    ("amount", "currency", "step"),
    [("5.124", "KWD", "0.010"), ("0.001", "TND", "0.010"), ("500.20", "MGA", "1.00")],
)
def test_an_amount_between_stripes_steps_is_refused_before_it_is_sent(amount, currency, step):
    with pytest.raises(GatewayMisconfigured, match=f"in steps of {step} {currency}|in steps of {currency} {step}"):
        to_units(Money.parse(amount, currency))


@pytest.mark.parametrize("currency", ["UGX", "IQD", "LYD", "CLF", "UYW"])
def test_a_currency_whose_unit_is_not_certain_is_refused(currency):
    with pytest.raises(GatewayMisconfigured, match="another gateway"):
        to_units(Money(1000, currency))


def test_a_fraction_that_cannot_be_is_not_rounded_away():
    with pytest.raises(GatewayUnknown):
        to_minor(550, "ISK")


@given(st.integers(1, 10**9), st.sampled_from(["USD", "JPY", "KWD", "ISK", "MGA", "CLP"]))
def test_what_can_be_sent_comes_back_as_it_was(minor, currency):
    try:
        units = to_units(Money(minor, currency))
    except GatewayMisconfigured:
        return
    assert to_minor(units, currency) == minor
