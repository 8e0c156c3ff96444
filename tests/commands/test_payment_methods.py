"""Payment methods: the default, removal, and what never gets in (behaviour 9.7)."""

import pytest

from tests.builders import books, day, dump, refusal


def default(billing):
    return billing.customers.get("acme").default_method_id


def test_the_first_method_is_the_default_and_later_ones_are_not() -> None:
    billing = books(method=None)
    first = billing.payment_methods.add("acme", "approve")
    second = billing.payment_methods.add("acme", "approve")
    assert default(billing) == first.id
    billing.payment_methods.set_default("acme", second.id)
    assert default(billing) == second.id
    assert billing.payment_methods.list("acme") == [first, second]


def test_without_the_default_the_oldest_other_method_is_charged() -> None:
    billing = books(method=None)
    first, second, third = (billing.payment_methods.add("acme", "approve") for _ in range(3))
    billing.payment_methods.remove("acme", first.id)
    assert default(billing) == second.id
    billing.payment_methods.remove("acme", third.id)
    billing.payment_methods.remove("acme", second.id)
    assert default(billing) is None


@pytest.mark.parametrize("token", ["4242424242424242", "4242 4242 4242 4242", "tok-5500-0000-0000-0004"])
def test_nothing_that_looks_like_a_card_number_is_stored(token) -> None:
    billing = books(method=None)
    before = dump(billing)
    refused = refusal(billing.payment_methods.add, "acme", token)
    assert refused.code == "invalid_value" and token not in str(refused)
    assert dump(billing) == before


def test_a_method_belongs_to_one_customer() -> None:
    billing = books(customers=("acme", "bolt"))
    theirs = billing.payment_methods.list("bolt")[0]
    for verb in (billing.payment_methods.remove, billing.payment_methods.set_default):
        assert refusal(verb, "acme", theirs.id).code == "not_found"
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m", payment_method=theirs.id).code == "not_found"


def test_a_reference_names_one_method() -> None:
    billing = books(customers=("acme", "bolt"), method=None)
    billing.payment_methods.add("acme", "approve", reference="visa")
    assert refusal(billing.payment_methods.add, "bolt", "approve", reference="visa").code == "reference_taken"
    assert billing.payment_methods.set_default("acme", "visa").reference == "visa"


def test_a_subscription_may_have_a_method_of_its_own() -> None:
    """Its invoices are charged to it, not to the customer's default."""
    billing = books(method="decline:insufficient_funds")
    billing.payment_methods.add("acme", "approve", reference="company")
    billing.subscriptions.create("s1", "acme", "pro-m", payment_method="company")
    billing.run(day("02-01"))
    assert [one.status for one in billing.payments.list()] == ["succeeded", "succeeded"]


def test_a_method_in_use_can_be_removed_and_then_the_default_is_charged() -> None:
    billing = books()
    billing.payment_methods.add("acme", "approve", reference="company")
    billing.subscriptions.create("s1", "acme", "pro-m", payment_method="company")
    billing.payment_methods.remove("acme", "company")
    billing.run(day("02-01"))
    assert [one.status for one in billing.payments.list()] == ["succeeded", "succeeded"]
    assert billing.subscriptions.get("s1").state == "active"


def test_a_gateway_that_is_not_installed_is_refused() -> None:
    billing = books()
    refused = refusal(billing.payment_methods.add, "acme", "approve", gateway="strpe")
    assert (refused.code, refused.facts["parameter"]) == ("invalid_value", "gateway")
    assert "Installed: " in str(refused) and "test" in str(refused)


@pytest.mark.parametrize(
    ("configured", "meant"),
    [((), "test"), (("test",), "test"), (("acme",), "acme"), (("acme", "test"), "acme"), (("acme", "bolt"), None)],
)
def test_a_method_is_for_the_gateway_that_is_configured(configured, meant) -> None:
    """Beside a real gateway the test gateway has to be named: what it takes nobody has paid."""
    billing = books(method=None)
    for name in configured:
        billing._gateways.configure(name, {})
    assert billing._gateways.usual() == ((meant,) if meant else ("acme", "bolt"))
    if meant == "test":
        assert billing.payment_methods.add("acme", "approve").gateway == "test"
    else:
        refused = refusal(billing.payment_methods.add, "acme", "approve")
        assert refused.code == "invalid_value" and "acme" in str(refused)
        assert billing.payment_methods.add("acme", "approve", gateway="test").gateway == "test"
