"""What prices cost for one full period (behaviour 4)."""

from decimal import Decimal
from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.catalog import Price, Tier
from billcore.domain.money import minor_units
from billcore.domain.pricing import charge_for
from billcore.errors import InvalidValue, Refused

D = Decimal


def tiers(*rows):
    """Tiers of (up_to, unit_amount, flat_amount); the last has up_to None."""
    return tuple(Tier(None if top is None else D(top), D(unit), D(flat)) for top, unit, flat in rows)


def component(scheme="per_unit", **terms):
    if "unit" in terms:
        terms["amounts"] = {"USD": D(terms.pop("unit"))}
    return Price("p", component="c", scheme=scheme, **terms)


STEPS = tiers(("10", "2", "10"), ("20", "1", "0"), (None, "0.5", "50"))


@pytest.mark.parametrize(
    ("price", "quantity", "minor"),
    [
        (component(unit="5.00"), "3", 1500),
        (component(unit="5.00"), "0", 0),
        (component(unit="5.00"), "-3", 0),
        (component(unit="0.0033"), "7", Fraction(231, 100)),
        (component(unit="1.00"), "1.995", Fraction(1995, 10)),
        (component("graduated", tiers=STEPS), "0", 1000),
        (component("graduated", tiers=STEPS), "10", 3000),
        (component("graduated", tiers=STEPS), "10.5", 3050),
        (component("graduated", tiers=STEPS), "22", 9100),
        (component("volume", tiers=STEPS), "0", 1000),
        (component("volume", tiers=STEPS), "10", 3000),
        (component("volume", tiers=STEPS), "10.5", 1050),
        (component("volume", tiers=STEPS), "22", 6100),
        (component("stairstep", tiers=tiers(("10", "0", "10"), (None, "0", "20"))), "0", 0),
        (component("stairstep", tiers=tiers(("10", "0", "10"), (None, "0", "20"))), "10", 1000),
        (component("stairstep", tiers=tiers(("10", "0", "10"), (None, "0", "20"))), "10.001", 2000),
        (component("package", package_size=D(10), package_amount=D("1.00")), "0", 0),
        (component("package", package_size=D(10), package_amount=D("1.00")), "10", 100),
        (component("package", package_size=D(10), package_amount=D("1.00")), "10.01", 200),
        (component("package", package_size=D("0.5"), package_amount=D("0.3")), "1.1", 90),
        (component("percentage", rate=D("2.99")), "10090", Fraction(301691, 10)),
        (component("percentage", rate=D("1.3"), fixed_per_event=D("0.10")), "100", 140),
        (component("percentage", rate=D("1.3"), fixed_per_event=D("0.10")), "0", 0),
    ],
)
def test_each_scheme_by_its_rule(price, quantity, minor):
    assert charge_for(price, "USD", D(quantity)) == minor


def test_whole_amounts_are_integers():
    """The usual case stays in integer arithmetic, whatever way it was computed."""
    assert type(charge_for(component(unit="5.00"), "USD", D(3))) is int
    assert type(charge_for(component(unit="0.50"), "USD", D("1.5"))) is int
    assert type(charge_for(component("graduated", tiers=STEPS), "USD", D("10.5"))) is int
    assert type(charge_for(component("percentage", rate=D(2)), "USD", D(100))) is int


def test_a_currency_without_decimals_has_no_cents():
    price = Price("p", product="x", amounts={"JPY": D(500), "KWD": D("0.125")})
    assert charge_for(price, "JPY", 3) == 1500
    assert charge_for(price, "KWD", 3) == 375


@pytest.mark.parametrize("price", [component(unit="5.00"), component("volume", tiers=STEPS)])
def test_a_price_is_only_sold_in_its_currencies(price):
    with pytest.raises(Refused) as caught:
        charge_for(price, "EUR", D(1))
    assert caught.value.code == "currency_mismatch"
    assert "USD" in caught.value.remedy


def test_an_unknown_scheme_is_refused():
    with pytest.raises(InvalidValue):
        charge_for(component("auction"), "USD", D(1))


def test_a_phase_brings_its_own_amounts():
    assert charge_for(component(unit="5.00"), "USD", D(2), amounts={"USD": D("1.50")}) == 300
    assert charge_for(component(unit="5.00", included=D(1)), "USD", D(2), amounts={"USD": D("1.50")}) == 150


def test_included_units_are_free_first():
    packs = component("package", package_size=D(10), package_amount=D(100), included=D(10))
    assert charge_for(packs, "USD", D(121)) == 120_000
    assert charge_for(packs, "USD", D(9)) == 0
    all_paid = component("package", package_size=D(10), package_amount=D(100))
    assert charge_for(all_paid, "USD", D(121)) == 130_000


def test_the_first_flat_is_due_even_where_everything_is_included():
    assert charge_for(component("graduated", tiers=STEPS, included=D(100)), "USD", D(50)) == 1000


def test_maximum_caps_and_minimum_tops_up_a_component():
    bounded = component(unit="10.00", minimum=D("20.00"), maximum=D("50.00"))
    assert [charge_for(bounded, "USD", D(q)) for q in (0, 1, 3, 9)] == [2000, 2000, 3000, 5000]


def test_the_minimum_of_a_product_is_not_part_of_its_own_line():
    plan = Price("p", product="x", amounts={"USD": D(10)}, minimum=D(100))
    assert charge_for(plan, "USD", 1) == 1000


def test_percentages_are_bounded_event_by_event():
    price = component(
        "percentage",
        rate=D("1.5"),
        fixed_per_event=D("0.10"),
        minimum_per_event=D("0.25"),
        maximum_per_event=D("3.00"),
    )
    events = [D(1), D(100), D(1000)]
    assert charge_for(price, "USD", D(1101), events=events) == 25 + 160 + 300


def test_an_event_of_no_value_costs_its_fixed_part():
    price = component("percentage", rate=D(10), fixed_per_event=D(1), minimum_per_event=D("1.50"))
    assert charge_for(price, "USD", D(100), events=[D(0), D(100)]) == 150 + 1100
    assert charge_for(price, "USD", D(0), events=[D(0)]) == 150
    assert charge_for(price, "USD", D(0), events=[]) == 0
    assert charge_for(evolve(price, included_events=1), "USD", D(100), events=[D(0), D(100)]) == 1100


def test_an_event_whose_value_is_included_costs_nothing():
    price = component("percentage", rate=D(10), fixed_per_event=D(1), included=D(100))
    assert charge_for(price, "USD", D(200), events=[D(100), D(0), D(100)]) == 100 + 1100


def test_the_first_events_may_be_included():
    price = component("percentage", rate=D(1), fixed_per_event=D("0.10"), included_events=2)
    assert charge_for(price, "USD", D(300), events=[D(100), D(100), D(100)]) == 110


def test_included_value_is_used_up_by_the_first_events():
    price = component("percentage", rate=D(1), included=D(150))
    assert charge_for(price, "USD", D(300), events=[D(100), D(100), D(100)]) == 150


def test_a_correction_gives_back_its_rate_and_never_more_than_was_charged():
    price = component("percentage", rate=D(1), fixed_per_event=D("0.10"))
    assert charge_for(price, "USD", D(60), events=[D(100), D(-40)]) == 70
    assert charge_for(price, "USD", D(-40), events=[D(-40)]) == 0


def test_percentages_may_come_in_tiers():
    price = component(
        "graduated_percentage", tiers=(Tier(D(100), rate=D(2)), Tier(None, rate=D(1), flat_amount=D("0.50")))
    )
    assert charge_for(price, "USD", D(100)) == 200
    assert charge_for(price, "USD", D(150)) == 300
    assert charge_for(price, "USD", D(150), events=[D(60), D(60), D(30)]) == 300


FLATS = (Tier(D(100), rate=D(10), flat_amount=D(1)), Tier(None, rate=D(5), flat_amount=D(2)))


@pytest.mark.parametrize(
    ("events", "minor"),
    [(None, 0), ([], 0), ([0], 0), ([50], 600), ([0, 50], 600), ([150], 1550), ([60, 90], 1550), ([50, -50], 0)],
)
def test_the_flat_of_the_first_tier_of_percentages_is_due_with_the_first_value(events, minor):
    """Only graduated and volume owe it for nothing."""
    price = component("graduated_percentage", tiers=FLATS)
    assert charge_for(price, "USD", sum(events or [])) == minor
    assert charge_for(price, "USD", sum(events or []), events=events and [D(value) for value in events]) == minor


def test_where_all_events_are_included_no_flat_is_due():
    price = component("graduated_percentage", tiers=FLATS, included_events=1)
    assert charge_for(price, "USD", D(5), events=[D(5)]) == 0
    assert charge_for(price, "USD", D(55), events=[D(5), D(50)]) == 600


quantities = st.decimals(0, 10**6, places=3)
unit_amounts = st.decimals(0, 1000, places=12)


@st.composite
def tier_lists(draw):
    tops = sorted(draw(st.sets(st.decimals("0.001", 10**5, places=3), max_size=4)))
    return tuple(Tier(top, draw(unit_amounts), draw(unit_amounts)) for top in [*tops, None])


@given(tier_lists(), quantities)
def test_graduated_is_the_sum_over_tiers(table, quantity):
    """Against plain fractions: units in tier × unit amount + the flat of each tier entered."""
    total, below = Fraction(0), Fraction(0)
    for number, tier in enumerate(table):
        top = Fraction(tier.up_to) if tier.up_to is not None else Fraction(quantity)
        if number == 0 or quantity > below:
            units = max(min(Fraction(quantity), top) - below, Fraction(0))
            total += units * Fraction(tier.unit_amount) + Fraction(tier.flat_amount)
        below = top
    assert charge_for(component("graduated", tiers=table), "USD", quantity) == total * 100


@given(tier_lists(), quantities)
def test_volume_prices_all_units_by_the_bracket_they_reach(table, quantity):
    tier = next(tier for tier in table if tier.up_to is None or quantity <= tier.up_to)
    expected = Fraction(quantity) * Fraction(tier.unit_amount) + Fraction(tier.flat_amount)
    assert charge_for(component("volume", tiers=table), "USD", quantity) == expected * 100


@given(tier_lists(), quantities, quantities)
def test_using_more_never_costs_less_when_tiers_are_graduated(table, one, other):
    price = component("graduated", tiers=table)
    low, high = sorted((one, other))
    assert charge_for(price, "USD", low) <= charge_for(price, "USD", high)


@given(st.decimals(0, 10**12, places=12), st.decimals(0, 10**9, places=12))
def test_no_digit_is_lost_before_rounding(unit, quantity):
    """Thirty and more digits: beyond the 28 that decimal contexts keep by default."""
    price = component(unit=unit, included=D("0.000000000001"))
    expected = Fraction(unit) * max(Fraction(quantity) - Fraction(1, 10**12), Fraction(0)) * 100
    assert charge_for(price, "USD", quantity) == expected
    assert minor_units(unit, "USD") == Fraction(unit) * 100
