"""Payment methods: kept for a customer who is found or made, described, verified, forgotten; the hosted page."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from urllib.request import HTTPErrorProcessor, build_opener

import pytest

from billcore.plugins.gateway import (
    DeclineCode,
    Declined,
    Describe,
    Detach,
    GatewayMisconfigured,
    GatewayUnknown,
    HostedPage,
    Lookup,
    MethodNotFound,
    MethodRefused,
    Money,
    Pending,
    Vault,
    Vaulted,
    Verify,
    perform,
    perform_method,
    updates_since,
)
from billcore_gateway_stripe import updates

USD = Money(4900, "USD")
BANK = {"type": "us_bank_account", "brand": "STRIPE TEST BANK", "last4": "6789"}


def test_a_card_is_kept_for_a_new_customer(fake, gateway):
    token = fake.new_method(brand="mastercard", last4="4444")
    kept = perform_method(gateway, Vault("cus_1", token, name="Ann", email="ann@example.com"))
    [customer] = fake.objects("customers")
    assert kept == Vaulted(
        token=token,
        gateway_customer=customer["id"],
        kind="card",
        brand="mastercard",
        last4="4444",
        expires_on="2034-12",
        fingerprint=kept.fingerprint,
        status="active",
        customer_id="cus_1",
    )
    assert (customer["name"], customer["email"]) == ("Ann", "ann@example.com")
    assert customer["metadata"] == {"customer_id": "cus_1"}
    assert perform_method(gateway, Vault("cus_1", token)) == kept
    assert perform_method(gateway, Describe(token)) == kept


def test_a_customer_has_one_record_at_stripe_for_all_his_methods(fake, gateway):
    """Also when name and address changed in between, and when the search finds him only later."""
    first = perform_method(gateway, Vault("cus_1", fake.new_method(), name="Ann"))
    second = perform_method(gateway, Vault("cus_1", fake.new_method(), name="Ann Smith"))
    fake.call("advance", seconds=2 * 86_400)
    third = perform_method(gateway, Vault("cus_1", fake.new_method(), email="ann@example.com"))
    assert {first.gateway_customer, second.gateway_customer} == {third.gateway_customer}
    others = perform_method(gateway, Vault("cus_2", fake.new_method()))
    assert others.gateway_customer != third.gateway_customer


def test_a_customer_whom_the_host_brought_along_is_kept(fake, gateway):
    """From the time before billcore: he carries no id of ours."""
    brought = gateway._connected().wire.client.v1.customers.create({"email": "ann@example.com"}).id
    kept = perform_method(gateway, Vault("cus_3", fake.new_method(), brought))
    assert (kept.gateway_customer, kept.customer_id) == (brought, "")
    assert perform_method(gateway, Vault("cus_3", kept.token)) == kept


def test_a_lost_answer_makes_no_second_customer_and_no_second_method(fake, gateway):
    token = fake.new_method()
    for path in ("/v1/customers", f"/v1/payment_methods/{token}/attach"):
        fake.fault("reset", "after", path=path, exact=True)
        with pytest.raises(GatewayUnknown):
            perform_method(gateway, Vault("cus_1", token))
    kept = perform_method(gateway, Vault("cus_1", token))
    assert [one["id"] for one in fake.objects("customers")] == [kept.gateway_customer]
    assert [one["id"] for one in fake.objects("payment_methods") if one["customer"]] == [token]


@pytest.mark.parametrize(
    ("behaviour", "said"), [({"at_attach": "stolen_card"}, "declined"), ({"at_attach": "expired_card"}, "declined")]
)
def test_a_card_that_its_bank_declines_is_not_kept(fake, gateway, behaviour, said):
    with pytest.raises(MethodRefused, match=said):
        perform_method(gateway, Vault("cus_1", fake.new_method(**behaviour)))


def test_a_token_that_stripe_does_not_know_is_not_kept(gateway):
    with pytest.raises(MethodRefused, match="does not know"):
        perform_method(gateway, Vault("cus_1", "pm_gone"))


def test_a_method_of_another_customer_is_not_kept(gateway, vault):
    with pytest.raises(MethodRefused, match="another customer"):
        perform_method(gateway, Vault("cus_1", vault("cus_2").token))


def test_a_method_that_was_used_up_is_not_kept(fake, gateway, vault):
    used = vault()
    perform_method(gateway, Detach(used.token))
    with pytest.raises(MethodRefused):
        perform_method(gateway, Vault("cus_1", used.token))


def test_a_test_card_by_name_is_kept_under_the_id_of_its_copy(gateway, charge):
    kept = perform_method(gateway, Vault("cus_1", "pm_card_visa"))
    assert kept.token != "pm_card_visa"
    assert kept.last4 == "4242"
    assert perform(gateway, charge(method=kept)).amount_minor == 4900


def test_a_card_that_was_declined_may_be_tried_again_at_once(fake, gateway):
    """Its owner called his bank; what Stripe stored about the first try must not decide."""
    token = fake.new_method(at_attach="do_not_honor")
    with pytest.raises(MethodRefused):
        perform_method(gateway, Vault("cus_1", token))
    fake.call("behaviour", id=token, at_attach="")
    assert perform_method(gateway, Vault("cus_1", token)).token == token


def test_a_test_card_that_was_forgotten_is_kept_anew(gateway):
    first = perform_method(gateway, Vault("cus_1", "pm_card_visa"))
    assert perform_method(gateway, Vault("cus_1", "pm_card_visa")) == first
    perform_method(gateway, Detach(first.token))
    second = perform_method(gateway, Vault("cus_1", "pm_card_visa"))
    assert second.token != first.token
    assert perform_method(gateway, Describe(second.token)) == second


def test_a_forgotten_method_is_gone_and_may_be_forgotten_again(gateway, vault):
    kept = vault()
    for token in (kept.token, kept.token, "pm_gone"):
        perform_method(gateway, Detach(token))
        assert perform_method(gateway, Describe(token)) == MethodNotFound(token)


def test_a_card_that_its_network_renewed_is_described_anew(fake, gateway, vault):
    kept = vault()
    fake.call("update_card", id=kept.token, exp_year=2039, last4="1881")
    renewed = perform_method(gateway, Describe(kept.token))
    assert (renewed.expires_on, renewed.last4, renewed.status) == ("2039-12", "1881", "active")


def test_a_bank_account_is_verified_by_its_deposits(fake, gateway, charge):
    """Until then it is not charged; afterwards a debit is under way for days."""
    kept = perform_method(gateway, Vault("cus_1", fake.new_method(**BANK)))
    assert (kept.kind, kept.status, kept.brand, kept.last4) == ("bank_account", "unverified", BANK["brand"], "6789")
    assert perform_method(gateway, Vault("cus_1", kept.token, kept.gateway_customer)) == kept
    assert len(fake.objects("setup_intents")) == 1
    assert isinstance(perform(gateway, charge(1, kept)), Declined)
    assert perform_method(gateway, Verify(kept.token, amounts=(10, 11))).status == "unverified"
    verified = perform_method(gateway, Verify(kept.token, amounts=(32, 45)))
    assert verified == perform_method(gateway, Describe(kept.token))
    assert verified.status == "active"
    assert perform_method(gateway, Verify(kept.token, amounts=(32, 45))) == verified
    under_way = perform(gateway, charge(2, kept))
    assert isinstance(under_way, Pending)
    fake.call("settle", id=under_way.gateway_id, code="no_account")
    failed = perform(gateway, Lookup("pay_2", USD, gateway_id=under_way.gateway_id))
    assert isinstance(failed, Declined)
    assert failed.code is DeclineCode.NO_ACCOUNT


def test_a_bank_account_is_verified_by_a_code_as_well(fake, gateway):
    kept = perform_method(gateway, Vault("cus_1", fake.new_method(**BANK)))
    assert perform_method(gateway, Verify(kept.token, code="SM44DD")).status == "unverified"
    assert perform_method(gateway, Verify(kept.token, code="SM11AA")).status == "active"


def test_after_too_many_wrong_deposits_an_account_is_lost(fake, gateway):
    kept = perform_method(gateway, Vault("cus_1", fake.new_method(**BANK)))
    states = [perform_method(gateway, Verify(kept.token, amounts=(1, 2))).status for _ in range(4)]
    assert states == ["unverified", "unverified", "disabled", "disabled"]


def test_an_account_that_is_known_to_be_verified_needs_no_deposits(fake, gateway):
    kept = perform_method(gateway, Vault("cus_1", fake.new_method(**BANK, verified=True)))
    assert kept.status == "active"


def test_a_mandate_that_was_taken_back_disables_the_account(fake, gateway):
    kept = perform_method(gateway, Vault("cus_1", fake.new_method(**BANK, verified=True)))
    fake.call("revoke", id=kept.token)
    assert perform_method(gateway, Describe(kept.token)).status == "disabled"


def test_an_account_that_is_forgotten_before_it_is_verified_stays_forgotten(fake, gateway):
    kept = perform_method(gateway, Vault("cus_1", fake.new_method(**BANK)))
    perform_method(gateway, Detach(kept.token))
    assert fake.objects("setup_intents")[0]["status"] == "canceled"
    assert perform_method(gateway, Describe(kept.token)).status == "disabled"


def test_there_is_nothing_to_verify_about_what_is_not_there(gateway, vault):
    with pytest.raises(MethodRefused):
        perform_method(gateway, Verify("pm_gone", amounts=(32, 45)))
    card = vault()
    assert perform_method(gateway, Verify(card.token, amounts=(32, 45))) == card


def test_the_hosted_page_is_stripes_and_comes_back_to_ours(fake, build, charge):
    gateway = build(hosted_currency="EUR")
    page = perform_method(gateway, HostedPage("cus_1", "https://shop.example/done", name="Ann"))
    [session] = fake.objects("sessions")
    assert page.url == session["url"]
    assert page.gateway_customer == session["customer"] == fake.objects("customers")[0]["id"]
    sent = parse_qs(fake.requests(path="/v1/checkout/sessions")[0]["body"])
    assert sent["currency"] == ["eur"]
    assert sent["setup_intent_data[metadata][customer_id]"] == ["cus_1"]
    opener = build_opener(NoRedirect)
    with opener.open(page.url) as shown:
        assert session["id"] in shown.read().decode()
    with opener.open(f"{page.url}?choice=visa") as back:
        assert back.headers["Location"] == "https://shop.example/done"
    [kept] = [one for one in fake.objects("payment_methods") if one["customer"] == page.gateway_customer]
    described = perform_method(gateway, Describe(kept["id"]))
    assert (described.customer_id, described.status) == ("cus_1", "active")
    again = perform_method(gateway, HostedPage("cus_1", "https://shop.example/done", page.gateway_customer))
    assert again.gateway_customer == page.gateway_customer


class NoRedirect(HTTPErrorProcessor):
    """Takes a redirection as an answer."""

    def http_response(self, request, response):
        return response


@pytest.mark.parametrize("kind", ["reset", "error_500", "garbage"])
@pytest.mark.parametrize("verb", ["vault", "describe", "verify", "hosted_page", "detach"])
def test_a_method_verb_that_fails_may_be_asked_again(fake, gateway, vault, kind, verb):
    token = vault().token
    asked = {
        "vault": Vault("cus_1", token),
        "describe": Describe(token),
        "verify": Verify(token, amounts=(1, 2)),
        "hosted_page": HostedPage("cus_1", "https://shop.example/done"),
        "detach": Detach(token),
    }[verb]
    fake.fault(kind, method="GET", path="/v1/")
    with pytest.raises(GatewayUnknown):
        perform_method(gateway, asked)
    perform_method(gateway, asked)


def test_a_detachment_that_is_lost_is_done_and_one_that_is_refused_is_told(fake, gateway, vault):
    kept = vault()
    fake.fault("reset", "after", path=f"/v1/payment_methods/{kept.token}/detach")
    with pytest.raises(GatewayUnknown):
        perform_method(gateway, Detach(kept.token))
    perform_method(gateway, Detach(kept.token))
    other = vault()
    fake.fault("forbidden", path=f"/v1/payment_methods/{other.token}/detach")
    with pytest.raises(GatewayMisconfigured):
        perform_method(gateway, Detach(other.token))


def test_what_changed_is_listed_once_for_each_method_with_the_key_of_its_webhook(fake, gateway, vault, monkeypatch):
    """So a webhook that comes after all is no second event."""
    monkeypatch.setattr(updates, "PAGE", 2)
    kept = [vault() for _ in range(3)]
    before = datetime.now(UTC) - timedelta(minutes=1)
    for one in kept[:2]:
        for year in (2037, 2038):
            fake.call("update_card", id=one.token, exp_year=year)
    perform_method(gateway, Detach(kept[2].token))
    told = updates_since(gateway, before)
    assert {event.token for event in told} == {one.token for one in kept}
    assert len(told) == 3
    keys = [sent["event"] for sent in fake.events("whsec_x") if sent["name"].startswith("payment_method.")]
    assert {event.key for event in told} <= set(keys)
    assert updates_since(gateway, before + timedelta(days=1)) == ()
    fake.fault("reset", method="GET", path="/v1/events")
    with pytest.raises(GatewayUnknown):
        updates_since(gateway, before)
