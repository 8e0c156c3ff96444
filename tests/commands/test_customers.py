"""Customers: what is required, what is refused, what is found (behaviour 14)."""

import pytest

from billcore.commands.parameters import UNSET
from tests.builders import books, day, dump, refusal


def test_a_customer_is_found_by_reference_and_by_id() -> None:
    billing = books(customers=())
    made = billing.customers.create("acme", "Acme Ltd", "ada@example.com", country="DE")
    assert billing.customers.get("acme") == made == billing.customers.get(made.id)


@pytest.mark.parametrize("setting", ["name", "email"])
def test_the_site_may_require_a_name_and_an_email(setting) -> None:
    billing = books(customers=(), **{f"require_customer_{setting}": True})
    refused = refusal(billing.customers.create, "acme")
    assert (refused.code, refused.facts["parameter"]) == ("invalid_value", setting)
    assert billing.customers.list() == []


def test_a_reference_names_one_customer() -> None:
    billing = books(customers=("acme", "bolt"))
    assert refusal(billing.customers.create, "acme").code == "reference_taken"
    assert refusal(billing.customers.update, "bolt", reference="acme").code == "reference_taken"
    assert billing.customers.update("acme", reference="acme").reference == "acme"


@pytest.mark.parametrize("reference", ["", "a b", "ä", "x" * 65, "a/b", 7])
def test_a_reference_is_letters_digits_dashes(reference) -> None:
    assert refusal(books(customers=()).customers.create, reference).code == "invalid_value"


@pytest.mark.parametrize(
    "given",
    [
        {"email": "nobody"},
        {"email": "a@b@c"},
        {"country": "Germany"},
        {"timezone": "Europe/Atlantis"},
        {"currency": "XXQ"},
        {"billing_day": 32},
        {"billing_day": 0},
        {"name": "x" * 10_001},
    ],
)
def test_values_that_cannot_be_used_are_refused(given) -> None:
    billing = books(customers=())
    before = dump(billing)
    assert refusal(billing.customers.create, "acme", **given).code == "invalid_value"
    assert dump(billing) == before


def test_an_update_changes_what_is_given_and_nothing_else() -> None:
    billing = books(customers=())
    billing.customers.create("acme", "Acme", "ada@example.com", country="DE", billing_day=15)
    changed = billing.customers.update("acme", name="Acme Ltd", email=UNSET)
    assert (changed.name, changed.email, changed.country, changed.billing_day) == (
        "Acme Ltd",
        "ada@example.com",
        "DE",
        15,
    )
    cleared = billing.customers.update("acme", email=None, billing_day="end")
    assert (cleared.email, cleared.billing_day) == (None, 31)
    assert billing.customers.get("acme") == cleared


def test_an_update_does_not_touch_running_subscriptions() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    billing.customers.update("acme", billing_day=15, timezone="Asia/Kolkata")
    assert billing.subscriptions.get("s1") == sub


def test_an_update_that_names_nobody_names_the_nearest() -> None:
    refused = refusal(books().customers.update, "acne", name="x")
    assert refused.code == "not_found" and "acme" in refused.remedy


def test_customers_are_found_by_part_of_what_names_them() -> None:
    billing = books(customers=())
    billing.customers.create("one", "Ada Ltd")
    billing.customers.create("two", email="ada@example.com")
    billing.customers.create("three", organization="Canada Inc")
    billing.customers.create("ada-4")
    billing.customers.create("five", "100% Pure")
    assert [one.reference for one in billing.customers.find("ada")] == ["one", "two", "three", "ada-4"]
    assert [one.reference for one in billing.customers.find("100%")] == ["five"]
    assert billing.customers.find("%") == billing.customers.find("100%")
    assert billing.customers.find("_") == []


def test_customers_are_listed_in_pages_in_order_of_creation() -> None:
    billing = books(customers=("c", "a", "b"))
    first = billing.customers.list(limit=2)
    assert [one.reference for one in first] == ["c", "a"]
    assert [one.reference for one in billing.customers.list(after="a")] == ["b"]


def test_a_customer_who_has_nothing_is_deleted_with_his_methods() -> None:
    billing = books()
    billing.customers.delete("acme")
    assert refusal(billing.customers.get, "acme").code == "not_found"
    assert dump(billing)["billcore_payment_methods"] == []
    assert billing.customers.create("acme").reference == "acme"


def test_a_customer_with_subscriptions_stays_and_they_are_listed() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "free")
    billing.subscriptions.create("s2", "acme", "pro-m", starts_at="2026-03-01")
    billing.subscriptions.cancel("s1")
    refused = refusal(billing.customers.delete, "acme")
    assert (refused.code, refused.facts["subscriptions"]) == ("not_deletable", ["s1", "s2"])
    assert "s1 (canceled)" in refused.message


def test_a_customer_whose_signup_failed_stays_because_of_the_attempt() -> None:
    billing = books(method="decline:insufficient_funds")
    refusal(billing.subscriptions.create, "s1", "acme", "pro-m")
    assert refusal(billing.customers.delete, "acme").code == "not_deletable"


def test_a_customer_without_subscription_but_with_a_zone_and_a_clock_is_kept_in_utc() -> None:
    billing = books(customers=())
    made = billing.customers.create("acme", timezone="Australia/Lord_Howe")
    assert made.created_at == day("01-01")
