"""The form of the catalog file for what is stored: nothing is lost, and equal entries look the same."""

import json
import tomllib
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.catalog import Catalog, Price, Tier
from billcore.domain.catalog_reader import from_definition, read_catalog
from billcore.domain.catalog_writer import definition, export_catalog
from billcore.domain.periods import Duration
from billcore.errors import InvalidValue


def full_file():
    """One file with every key."""
    return tomllib.loads(Path(__file__).with_name("full_catalog.toml").read_text(encoding="utf-8"))


def read(data, **options):
    return read_catalog(data, **{"currency": "USD", "zone": "UTC", **options})


def test_an_export_reads_as_the_same_catalog():
    catalog = read(full_file())
    exported = export_catalog(catalog)
    assert json.loads(json.dumps(exported)) == exported
    assert read(exported, currency="CHF", zone="Asia/Tokyo") == catalog
    assert export_catalog(read(exported, zone="Asia/Tokyo")) == exported


def test_an_empty_catalog_exports_an_empty_file():
    assert read(export_catalog(Catalog())) == Catalog()


def test_every_entry_survives_its_definition():
    catalog = read(full_file())
    for price in catalog.prices.values():
        stored = json.loads(json.dumps(definition(price)))
        owner = {"product": price.product, "component": price.component}
        assert from_definition("price", stored, **owner, id="pri_1", version=3) == evolve(price, id="pri_1", version=3)
    for product in catalog.products.values():
        assert from_definition("product", definition(product)) == product
    for component in catalog.components.values():
        assert from_definition("component", definition(component)) == component
    for coupon in catalog.coupons.values():
        assert from_definition("coupon", definition(coupon), id="c1") == evolve(coupon, id="c1")
    for feature in catalog.features.values():
        assert from_definition("feature", definition(feature)) == feature
    for row in catalog.taxes:
        assert from_definition("tax", definition(row), id="t1") == evolve(row, id="t1")


def test_a_price_for_one_subscription_remembers_what_it_was_made_from():
    custom = evolve(read(full_file()).price("pro-monthly"), code="pro-monthly-s1", custom_of="pro-monthly")
    assert from_definition("price", definition(custom), product="pro") == custom
    with pytest.raises(InvalidValue):
        from_definition("price", definition(custom))


def test_a_definition_says_the_same_however_an_amount_was_written():
    data = full_file()
    data["products"][0]["prices"][0]["amount"] = "49"
    assert definition(read(data).price("pro-monthly")) == definition(read(full_file()).price("pro-monthly"))


amounts = st.decimals(0, 10**9, places=2)
units = st.decimals(0, 10**9, places=12)
quantities = st.decimals("0.001", 10**6, places=3)


@st.composite
def tier_lists(draw):
    tops = sorted(draw(st.sets(quantities, max_size=4)))
    return tuple(Tier(top, draw(units), draw(amounts)) for top in [*tops, None])


@given(
    price=st.builds(
        Price,
        code=st.text("aZ09_-", min_size=1, max_size=64),
        component=st.just("c"),
        scheme=st.sampled_from(["graduated", "volume"]),
        currency=st.sampled_from(["USD", "EUR"]),
        tiers=tier_lists(),
        included=quantities,
        maximum=st.none() | amounts,
        every=st.none() | st.builds(Duration, st.integers(1, 99), st.sampled_from(["day", "week", "month", "year"])),
        bill=st.sampled_from(["advance", "arrears"]),
        tax=st.sampled_from(["exclusive", "inclusive"]),
        upgrade=st.sampled_from([None, "prorated", "full", "none"]),
    )
)
def test_any_tiered_price_survives_its_definition(price):
    assert from_definition("price", json.loads(json.dumps(definition(price))), component="c") == price
