"""catalog.apply: prices as code (behaviour 4; a published price is never edited)."""

import copy
from fractions import Fraction

import pytest

from billcore.errors import FileInvalid
from tests.builders import CATALOG, books, day, dump, refusal


def raised(amount="35.00"):
    changed = copy.deepcopy(CATALOG)
    price = next(one for product in changed["products"] for one in product["prices"] if one["code"] == "pro-m")
    price["amount"] = amount
    return changed


def test_a_file_that_changes_a_published_price_is_refused_and_nothing_of_it_applied() -> None:
    billing = books()
    before = dump(billing)
    changed = raised() | {"coupons": [{"code": "NEW", "percent_off": "5"}]}
    with pytest.raises(FileInvalid) as refused:
        billing.catalog.apply(changed)
    assert refused.value.code == "catalog_invalid"
    assert str(refused.value.facts["path"]).endswith("]") and "prices[" in str(refused.value.facts["path"])
    assert "amount 30.00 to 35.00" in str(refused.value)
    assert dump(billing) == before


def test_a_new_version_is_published_when_it_is_meant_and_subscriptions_keep_theirs() -> None:
    billing = books(customers=("acme", "zeta"))
    billing.subscriptions.create("s1", "acme", "pro-m")
    (change,) = billing.catalog.apply(raised(), new_versions=True)
    assert (change.action, change.code, change.version) == ("new_version", "pro-m", 2)
    billing.subscriptions.create("s2", "zeta", "pro-m")
    totals = {one.customer_id: one.total for one in billing.invoices.list()}
    assert sorted(totals.values()) == [3000, 3500]
    assert billing.catalog.apply(raised()) == []


@pytest.mark.parametrize(
    ("basis", "period", "portion"),
    [
        ("second", ["2026-01-01", "2026-02-01"], Fraction(15, 31)),
        ("day", ["2026-01-01", "2026-02-01"], Fraction(15, 31)),
        ("fixed_30", ["2026-01-01", "2026-02-01"], Fraction(14, 30)),
        ("fixed_30", ["2026-01-03", "2026-02-02"], Fraction(15, 30)),
    ],
)
def test_a_component_without_an_interval_is_quoted_by_the_period_given(basis, period, portion) -> None:
    """Its interval is the product's, and the period is one of those; fixed_30 counts whole months, else real days."""
    billing = books(proration_basis=basis)
    quote = billing.catalog.quote("seats-p", "31", since=day("01-17"), until=day("02-01"), period=period)
    assert Fraction(quote.portion) == portion
    assert Fraction(quote.amount) == 31 * 5 * portion


def test_what_is_charged_once_has_no_period() -> None:
    changed = copy.deepcopy(CATALOG)
    setup = {"code": "setup-p", "scheme": "per_unit", "unit_amount": "5.00"}
    changed["components"].append({"code": "setup", "name": "Setup", "kind": "one_time", "prices": [setup]})
    billing = books(catalog=changed)
    said = refusal(billing.catalog.quote, "setup-p", "1", period=["2026-01-01", "2026-02-01"])
    assert said.code == "invalid_value"


def test_a_quote_of_a_product_comes_to_its_minimum() -> None:
    changed = copy.deepcopy(CATALOG)
    least = {"code": "least", "amount": "10.00", "every": "1 month", "minimum": "50.00"}
    changed["products"][0]["prices"].append(least)
    billing = books(catalog=changed)
    assert [billing.catalog.quote("least", units).rounded for units in ("1", "6")] == [5000, 6000]
    january = ["2026-01-01", "2026-02-01"]
    assert billing.catalog.quote("least", since=day("01-17"), until=day("02-01"), period=january).rounded == 2419
