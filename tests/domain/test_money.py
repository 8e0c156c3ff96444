"""Behaviour 1: money is whole minor units, rounded once, and shared so that the parts add up."""

import operator
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.money import (
    LIMIT,
    Money,
    decimal_text,
    exponent,
    format_minor,
    parse_minor,
    round_exact,
    round_ratio,
    share,
)
from billcore.errors import InvalidValue, Refused

MINOR = st.integers(min_value=-LIMIT + 1, max_value=LIMIT - 1)
CURRENCY = st.sampled_from(["JPY", "USD", "KWD", "CLF"])


@pytest.mark.parametrize(("code", "places"), [("JPY", 0), ("EUR", 2), ("USD", 2), ("TND", 3), ("UYW", 4)])
def test_a_currency_has_the_decimals_of_iso_4217(code, places):
    assert exponent(code) == places


def test_an_unknown_currency_is_refused_and_the_nearest_are_named():
    with pytest.raises(InvalidValue) as caught:
        exponent("usd")
    assert "USD" in caught.value.remedy


@pytest.mark.parametrize("code", ["", "EURO$", "XAU", "XXX"])
def test_codes_without_decimals_of_their_own_are_no_currencies(code):
    with pytest.raises(InvalidValue):
        exponent(code)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("49.00", "USD", 4900),
        ("49", "USD", 4900),
        ("49.5", "USD", 4950),
        ("-0.05", "USD", -5),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
    ],
)
def test_amounts_are_read_in_major_units(text, currency, minor):
    assert parse_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("0.001", "USD"),
        ("1.0", "JPY"),
        ("", "USD"),
        ("1,000.00", "USD"),
        ("+1", "USD"),
        (".5", "USD"),
        ("1e3", "USD"),
        ("٣", "USD"),
        (str(LIMIT), "JPY"),
    ],
)
def test_what_is_no_exact_amount_of_the_currency_is_refused(text, currency):
    with pytest.raises(InvalidValue):
        parse_minor(text, currency)


@given(MINOR, CURRENCY)
def test_an_amount_reads_back_as_it_was_written(minor, currency):
    assert parse_minor(format_minor(minor, currency), currency) == minor


def test_money_is_printed_with_its_currency():
    assert str(Money.parse("49.00", "USD")) == "49.00 USD"
    assert str(Money(-5, "EUR")) == "-0.05 EUR"
    assert str(Money(500, "JPY")) == "500 JPY"


@pytest.mark.parametrize("minor", [49.0, True, "49", Decimal(49), LIMIT])
def test_money_takes_whole_minor_units_within_range_only(minor):
    with pytest.raises(InvalidValue):
        Money(minor, "USD")


def test_money_of_one_currency_adds_and_compares():
    one, two = Money(100, "USD"), Money(250, "USD")
    assert one + two == Money(350, "USD")
    assert one - two == -Money(150, "USD")
    assert one < two
    assert two >= one
    assert one <= Money(100, "USD")


@pytest.mark.parametrize(
    "operation",
    [operator.add, operator.sub, operator.lt, operator.le],
)
def test_currencies_never_mix(operation):
    with pytest.raises(Refused) as caught:
        operation(Money(1, "USD"), Money(1, "EUR"))
    assert caught.value.code == "currency_mismatch"
    with pytest.raises(TypeError):
        operation(Money(1, "USD"), 1)


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(1, 2, 1), (-1, 2, -1), (3, 2, 2), (5, 2, 3), (-5, 2, -3), (1, 3, 0), (2, 3, 1), (-2, 3, -1), (0, 7, 0)],
)
def test_halves_are_rounded_away_from_zero(numerator, denominator, rounded):
    assert round_ratio(numerator, denominator) == rounded


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**6))
def test_rounding_is_exact_half_up_of_the_size(numerator, denominator):
    """Against the exact distance, and against the decimal module where the ratio terminates."""
    rounded, exact = round_ratio(numerator, denominator), Fraction(numerator, denominator)
    assert abs(rounded - exact) <= Fraction(1, 2)
    if abs(rounded - exact) == Fraction(1, 2):
        assert abs(rounded) > abs(exact)
    assert round_exact(exact) == rounded
    halves = Decimal(numerator).scaleb(-1)
    assert round_ratio(numerator, 10) == halves.quantize(Decimal(1), ROUND_HALF_UP, Context(prec=40))


@given(MINOR, st.lists(st.integers(0, 10**12), min_size=1, max_size=12))
def test_shared_parts_add_up_and_stay_within_one_unit_of_their_weight(amount, weights):
    parts = share(amount, weights)
    assert sum(parts) == amount
    assert len(parts) == len(weights)
    total = sum(weights)
    if total:
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(amount * weight, total)) < 1
            assert weight or not part


@given(MINOR, st.lists(st.integers(0, 1000), min_size=1, max_size=8))
def test_a_negative_amount_is_shared_like_its_opposite(amount, weights):
    assert share(-amount, weights) == [-part for part in share(amount, weights)]


def test_equal_remainders_go_to_the_earlier_part():
    assert share(100, [1, 1, 1]) == [34, 33, 33]
    assert share(-100, [1, 1, 1]) == [-34, -33, -33]


def test_without_any_weight_the_first_part_takes_all():
    assert share(7, [0, 0]) == [7, 0]
    assert share(0, []) == []
    with pytest.raises(InvalidValue):
        share(1, [])
    with pytest.raises(InvalidValue):
        share(1, [2, -1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"),
        ("1.000", "1"),
        ("2.50", "2.5"),
        ("1E+3", "1000"),
        ("100", "100"),
        ("-0.0", "0"),
        ("0E-9", "0"),
    ],
)
def test_a_quantity_has_one_way_to_be_written(value, text):
    assert decimal_text(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_writing_a_quantity_keeps_its_value(value):
    text = decimal_text(value)
    assert Decimal(text) == value
    assert decimal_text(Decimal(text)) == text


def test_a_quantity_that_is_no_number_is_refused():
    with pytest.raises(InvalidValue):
        decimal_text(Decimal("NaN"))
