"""Looking things up in a catalog."""

from decimal import Decimal

import pytest
from attrs import evolve

from billcore.domain.catalog import Catalog, Component, Coupon, Periods, Price, Product, did_you_mean
from billcore.errors import NotFound, Refused

PLAN = Price("pro-monthly", product="pro", amounts={"EUR": Decimal(45), "USD": Decimal(49)})
SEATS = Price("seats-standard", component="seats", amounts={"USD": Decimal(5)})
CATALOG = Catalog(
    products={"pro": Product("pro", "Pro")},
    prices={price.code: price for price in (PLAN, SEATS, evolve(SEATS, code="seats-special"))},
    components={"seats": Component("seats", "Seats", "quantity")},
    coupons={"WELCOME10": Coupon("WELCOME10", percent_off=Decimal(10))},
)


def test_entries_are_found_by_code():
    assert CATALOG.price("pro-monthly") is PLAN
    assert CATALOG.product("pro").name == "Pro"
    assert CATALOG.component("seats").kind == "quantity"
    assert CATALOG.coupon("WELCOME10").percent_off == 10


def test_an_unknown_code_names_the_nearest():
    with pytest.raises(NotFound) as caught:
        CATALOG.price("pro-montly")
    assert caught.value.remedy == "Did you mean 'pro-monthly'?"
    with pytest.raises(NotFound) as caught:
        CATALOG.product("x")
    assert caught.value.remedy == "There are 'pro'."


def test_an_unknown_coupon_has_a_code_of_its_own():
    with pytest.raises(Refused) as caught:
        CATALOG.coupon("WELCOME")
    assert caught.value.code == "coupon_not_found"


def test_the_price_of_a_component_names_no_product():
    assert CATALOG.product_of(PLAN).code == "pro"
    with pytest.raises(NotFound):
        CATALOG.product_of(SEATS)


def test_the_first_price_of_a_component_is_the_first_in_the_file():
    codes = [price.code for price in CATALOG.prices_of(CATALOG.component("seats"))]
    assert codes == ["seats-standard", "seats-special"]
    assert CATALOG.prices_of(CATALOG.product("pro")) == (PLAN,)


def test_the_currency_of_the_fees_comes_first():
    assert PLAN.currencies == ("USD", "EUR")


def test_equal_prices_are_one_key():
    assert {PLAN: 1}[evolve(PLAN)] == 1


def test_suggestions_stay_short():
    assert did_you_mean("zzz", []) == "None are defined."
    assert did_you_mean("zzz", [str(number) for number in range(20)]).endswith("and more.")


def test_periods_read_as_they_are_written():
    assert [str(Periods(count)) for count in (1, 12)] == ["1 period", "12 periods"]
