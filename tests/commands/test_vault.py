"""Payment methods in a gateway's vault: kept, verified, described, forgotten (behaviour 9.7)."""

import pytest

from billcore.errors import PluginError
from billcore.plugins.gateway import (
    Capability,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
)
from tests.builders import day, dump, refusal
from tests.fakes import Fake, fake_books


def shown(method):
    return (method.token, method.gateway_customer, method.brand, method.last4, method.expires_on, method.status)


def default(billing):
    return billing.customers.get("acme").default_method_id


def test_a_method_is_kept_at_the_gateway_and_stored_as_it_describes_it() -> None:
    billing, fake = fake_books()
    acme = billing.customers.update("acme", name="Acme", email="pay@acme.example")
    method = billing.payment_methods.add("acme", "tok_a", gateway="fake", brand="mine")
    assert shown(method) == ("pm_a", f"gc_{acme.id}", "visa", "4242", "2030-12", "active")
    assert method.fingerprint == "fp1"
    (asked,) = fake.asked
    assert (asked.customer_id, asked.name, asked.email, asked.gateway_customer) == (
        acme.id,
        "Acme",
        "pay@acme.example",
        "",
    )
    assert default(billing) == method.id


def test_the_next_method_is_kept_for_the_same_customer_there() -> None:
    """A removed one still tells who he is."""
    billing, fake = fake_books()
    first = billing.payment_methods.add("acme", "tok_a", gateway="fake", gateway_customer="gc_9")
    billing.payment_methods.remove("acme", first.id)
    second = billing.payment_methods.add("acme", "tok_b", gateway="fake")
    assert [one.gateway_customer for one in fake.asked] == ["gc_9", "gc_9"]
    assert second.gateway_customer == "gc_9"


def test_a_refused_method_is_not_stored() -> None:
    billing, _ = fake_books()
    before = dump(billing)
    refused = refusal(billing.payment_methods.add, "acme", "tok_bad", gateway="fake")
    assert (refused.code, refused.message) == ("payment_method_refused", "The card was declined.")
    assert dump(billing) == before


@pytest.mark.parametrize("error", [GatewayNotSent("down"), GatewayMisconfigured("wrong key"), GatewayUnknown("lost")])
def test_what_goes_wrong_on_the_way_is_told_and_nothing_is_stored(error) -> None:
    billing, fake = fake_books()
    fake.fails["vault"] = error
    before = dump(billing)
    refused = refusal(billing.payment_methods.add, "acme", "tok_a", gateway="fake")
    assert isinstance(refused, PluginError) and refused.code == error.code
    assert dump(billing) == before
    assert "tried again" not in refused.remedy
    if error.code == "gateway_unknown":
        assert "Repeat the command" in refused.remedy


def test_after_a_lost_answer_the_command_is_repeated() -> None:
    billing, fake = fake_books()
    fake.fails["vault"] = RuntimeError("secret inside")
    refused = refusal(billing.payment_methods.add, "acme", "tok_a", gateway="fake", idempotency_key="k")
    assert refused.code == "gateway_unknown" and "secret inside" not in str(refused)
    fake.fails.clear()
    first = billing.payment_methods.add("acme", "tok_a", gateway="fake", idempotency_key="k")
    assert billing.payment_methods.add("acme", "tok_a", gateway="fake", idempotency_key="k") == first
    assert fake.count("vault") == 2


def test_a_method_that_is_added_again_is_the_same_one() -> None:
    billing, _ = fake_books(customers=("acme", "bolt"))
    first = billing.payment_methods.add("acme", "tok_a", gateway="fake")
    again = billing.payment_methods.add("acme", "tok_a", gateway="fake", reference="visa")
    assert (again.id, again.reference) == (first.id, "visa")
    assert billing.payment_methods.list("acme") == [again]
    other = refusal(billing.payment_methods.add, "acme", "pm_a", gateway="fake", reference="other")
    assert other.code == "reference_taken"
    assert refusal(billing.payment_methods.add, "bolt", "tok_b", gateway="fake", reference="visa").code == (
        "reference_taken"
    )


def test_a_token_is_good_for_one_customer() -> None:
    billing, fake = fake_books(customers=("acme", "bolt"))
    billing.payment_methods.add("acme", "tok_a", gateway="fake")
    fake.methods.clear()  # It would even keep it for another one.
    assert refusal(billing.payment_methods.add, "bolt", "tok_a", gateway="fake").code == "payment_method_refused"


@pytest.mark.parametrize(
    "given",
    [
        {"token": "4242424242424242"},
        {"token": "tok_a", "brand": "4242 4242 4242 4242 12/30"},
        {"token": "tok_a", "last4": "4242-4242-4242-4242"},
        {"token": "tok_a", "gateway_customer": "5500000000000004"},
        {"token": "tok_a", "expires_on": "378282246310005"},
    ],
)
def test_what_looks_like_a_card_number_does_not_even_reach_the_gateway(given) -> None:
    billing, fake = fake_books()
    assert refusal(billing.payment_methods.add, "acme", gateway="fake", **given).code == "invalid_value"
    assert fake.asked == []


def test_who_cannot_get_it_is_told_before_the_gateway_is_asked() -> None:
    billing, fake = fake_books()
    assert refusal(billing.payment_methods.add, "nobody", "tok_a", gateway="fake").code == "not_found"
    assert refusal(billing.payment_methods.add, "acme", "tok_a", gateway="faek").code == "invalid_value"
    assert fake.asked == []


def test_a_dry_run_keeps_nothing_anywhere() -> None:
    billing, fake = fake_books()
    preview = billing.payment_methods.add("acme", "tok_a", gateway="fake", dry_run=True)
    assert (preview.value.token, preview.value.gateway_customer) == ("tok_a", None)
    assert fake.asked == [] and billing.payment_methods.list("acme") == []


def test_inside_a_transaction_only_what_is_kept_already_is_taken_over() -> None:
    billing, fake = fake_books()

    with billing.database.transaction() as tx:
        scope = billing._scope(tx, billing.clock.now())
        given = {"customer": "acme", "token": "pm_a", "gateway": "fake"}
        refused = refusal(billing.payment_methods.add.within, scope, given)
        assert refused.code == "payment_method_refused" and "gateway_customer" in refused.remedy
        taken = billing.payment_methods.add.within(scope, given | {"gateway_customer": "gc_1"})
        assert taken.gateway_customer == "gc_1"
    assert fake.asked == []


# -- bank accounts -------------------------------------------------------------------------------------------


def test_an_unverified_bank_account_is_neither_the_default_nor_charged() -> None:
    billing, fake = fake_books()
    bank = billing.payment_methods.add("acme", "tok_bank", gateway="fake")
    assert (bank.kind, bank.status, default(billing)) == ("bank_account", "unverified", None)
    assert refusal(billing.payment_methods.set_default, "acme", bank.id).code == "transition_not_allowed"
    own = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", payment_method=bank.id)
    assert own.code == "payment_declined"
    assert fake.count("charge") == 0


def test_a_verified_bank_account_becomes_the_default_and_pays_what_is_overdue() -> None:
    billing, _ = fake_books(signup_decline="past_due")
    bank = billing.payment_methods.add("acme", "tok_bank", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m")
    assert billing.subscriptions.get("s1").state == "past_due"
    assert billing.payment_methods.verify("acme", bank.id, amounts=["1", "2"]).status == "unverified"
    verified = billing.payment_methods.verify("acme", bank.id, amounts=["32", "45"])
    assert (verified.status, default(billing)) == ("active", bank.id)
    assert billing.subscriptions.get("s1").state == "active"
    assert refusal(billing.payment_methods.verify, "acme", bank.id, code="SM11AA").code == "transition_not_allowed"


def test_a_verification_says_what_it_takes() -> None:
    billing, _ = fake_books()
    bank = billing.payment_methods.add("acme", "tok_bank", gateway="fake")
    verify = billing.payment_methods.verify
    assert refusal(verify, "acme", bank.id).code == "invalid_parameter"
    assert refusal(verify, "acme", bank.id, code="x", amounts=["1"]).code == "invalid_parameter"
    assert refusal(verify, "acme", bank.id, amounts=["0.32"]).code == "invalid_value"
    assert verify("acme", bank.id, code="SM11AA").status == "active"


# -- news of methods -----------------------------------------------------------------------------------------


def test_a_refreshed_method_is_as_the_gateway_has_it_now() -> None:
    billing, fake = fake_books()
    method = billing.payment_methods.add("acme", "tok_a", gateway="fake", reference="visa")
    fake.methods["pm_a"] = type(fake.methods["pm_a"])("pm_a", "gc_2", "card", "visa", "1111", "2035-01")
    fresh = billing.payment_methods.refresh("acme", "visa")
    assert (fresh.id, fresh.last4, fresh.expires_on, fresh.gateway_customer) == (method.id, "1111", "2035-01", "gc_2")
    assert billing.payment_methods.list("acme") == [fresh]


def test_a_method_that_the_gateway_lost_is_not_charged_any_more() -> None:
    billing, fake = fake_books()
    method = billing.payment_methods.add("acme", "tok_a", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m")
    fake.methods.clear()
    assert billing.payment_methods.refresh("acme", method.id).status == "disabled"
    billing.run(day("02-01"))
    assert fake.count("charge") == 1
    assert billing.subscriptions.get("s1").state == "past_due"
    assert refusal(billing.payment_methods.set_default, "acme", method.id).code == "transition_not_allowed"


def test_a_charge_names_the_customer_that_the_method_is_kept_for() -> None:
    billing, fake = fake_books()
    method = billing.payment_methods.add("acme", "tok_a", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m")
    charge = fake.asked[-1]
    assert (charge.gateway_method, charge.gateway_customer) == ("pm_a", method.gateway_customer)


def test_a_new_method_takes_the_place_of_a_lost_default_and_pays() -> None:
    billing, fake = fake_books()
    lost = billing.payment_methods.add("acme", "tok_a", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m")
    fake.methods.clear()
    billing.payment_methods.refresh("acme", lost.id)
    billing.run(day("02-01"))
    new = billing.payment_methods.add("acme", "tok_b", gateway="fake")
    assert default(billing) == new.id
    assert billing.subscriptions.get("s1").state == "active"
    billing.payment_methods.remove("acme", lost.id)
    assert billing.payment_methods.list("acme") == [new]


def test_removing_a_method_here_leaves_it_there_unless_asked() -> None:
    billing, fake = fake_books()
    first = billing.payment_methods.add("acme", "tok_a", gateway="fake", reference="visa")
    second = billing.payment_methods.add("acme", "tok_b", gateway="fake")
    billing.payment_methods.remove("acme", "visa")
    assert "pm_a" in fake.methods and default(billing) == second.id
    billing.payment_methods.remove("acme", second.id, at_gateway=True)
    assert "pm_b" not in fake.methods and default(billing) is None
    again = billing.payment_methods.add("acme", "tok_a", gateway="fake", reference="visa")
    assert again.id != first.id and billing.payment_methods.list("acme") == [again]


def test_a_method_that_the_gateway_did_not_forget_is_not_removed_here_either() -> None:
    billing, fake = fake_books()
    method = billing.payment_methods.add("acme", "tok_a", gateway="fake")
    fake.fails["detach"] = GatewayNotSent("down")
    refused = refusal(billing.payment_methods.remove, "acme", method.id, at_gateway=True)
    assert refused.code == "gateway_not_sent"
    assert billing.payment_methods.list("acme") == [method]
    assert billing.payment_methods.remove("acme", method.id).id == method.id


# -- hosted pages --------------------------------------------------------------------------------------------


def test_a_link_leads_to_the_gateways_own_page() -> None:
    billing, fake = fake_books()
    link = billing.payment_methods.link("acme", "fake", "https://shop.example/done")
    assert link.url == f"https://fake.example/{billing.customers.get('acme').id}"
    (asked,) = fake.asked
    assert asked.return_url == "https://shop.example/done"
    assert refusal(billing.payment_methods.link, "acme", "fake", "javascript:alert(1)").code == "invalid_value"
    assert refusal(billing.payment_methods.link, "acme", "faek", "https://shop.example").code == "invalid_value"


def test_a_gateway_that_cannot_is_not_asked() -> None:
    gateway = Fake()
    gateway.capabilities = frozenset()
    billing, _ = fake_books(gateway=gateway)
    method = billing.payment_methods.add("acme", "tok_a", gateway="fake")
    assert method.token == "tok_a"
    for verb, given in (
        (billing.payment_methods.link, ("acme", "fake", "https://shop.example")),
        (billing.payment_methods.refresh, ("acme", method.id)),
    ):
        assert refusal(verb, *given).code == "unsupported_capability"
    refused = refusal(billing.payment_methods.remove, "acme", method.id, at_gateway=True)
    assert refused.facts["capability"] == Capability.VAULT
    assert gateway.asked == []
