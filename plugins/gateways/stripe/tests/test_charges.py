"""Charges: what is sent, the customer's bank, and methods that are no more."""

from urllib.parse import parse_qs

import pytest

from billcore.plugins.gateway import (
    ActionRequired,
    Approved,
    Cancel,
    DeclineCode,
    Declined,
    DeclineKind,
    Detach,
    Lookup,
    Money,
    Pending,
    perform,
    perform_method,
)
from billcore_gateway_stripe.charges import metadata

USD = Money(4900, "USD")


def sent(fake, path="/v1/payment_intents"):
    """The parameters of the last call of this path."""
    return {name: values[0] for name, values in parse_qs(fake.requests(path=path)[-1]["body"]).items()}


def test_a_charge_is_one_call_off_session_with_our_ids_and_the_stored_key(fake, gateway, charge):
    request = charge(description="Invoice 7", metadata={"site": "gym"})
    assert perform(gateway, request) == Approved(fake.objects("payment_intents")[0]["id"], 4900, "USD")
    assert sent(fake) == {
        "amount": "4900",
        "currency": "usd",
        "customer": request.gateway_customer,
        "payment_method": request.gateway_method,
        "confirm": "true",
        "off_session": "true",
        "automatic_payment_methods[enabled]": "true",
        "return_url": "https://shop.example/back",
        "description": "Invoice 7",
        "metadata[attempt_id]": "pay_1",
        "metadata[invoice_id]": "inv_1",
        "metadata[customer_id]": "cus_1",
        "metadata[site]": "gym",
    }
    [call] = fake.requests(path="/v1/payment_intents")
    assert call["key"] == "inst:pay_1"
    assert "payment_method_types" not in call["body"]


@pytest.mark.parametrize(
    ("amount", "units"), [(Money(500, "JPY"), "500"), (Money(5120, "KWD"), "5120"), (Money(5, "ISK"), "500")]
)
def test_an_amount_goes_through_in_every_kind_of_currency(fake, gateway, charge, amount, units):
    outcome = perform(gateway, charge(amount=amount))
    assert isinstance(outcome, Approved)
    assert (outcome.amount_minor, outcome.currency) == (amount.minor, amount.currency)
    assert sent(fake)["amount"] == units


def test_the_statement_says_what_was_configured(fake, build, charge):
    request = charge()
    perform(build(statement_suffix="GYM 12"), request)
    assert sent(fake)["statement_descriptor_suffix"] == "GYM 12"


def test_a_connected_account_has_its_own_customers_and_charges(fake, build, charge):
    """The same key, another account: what belongs to one is not there for the other."""
    request = charge()
    outcome = perform(build(account="acct_1other"), request)
    assert isinstance(outcome, Declined)
    assert outcome.code is DeclineCode.METHOD_UNKNOWN
    assert isinstance(perform(build(), request), Approved)


@pytest.mark.parametrize(
    ("behaviour", "kind", "code"),
    [
        ({"at_charge": "insufficient_funds"}, DeclineKind.SOFT, DeclineCode.INSUFFICIENT_FUNDS),
        ({"at_charge": "stolen_card"}, DeclineKind.HARD, DeclineCode.STOLEN_CARD),
        ({"at_charge": "expired_card"}, DeclineKind.HARD, DeclineCode.EXPIRED_CARD),
        ({"at_charge": "incorrect_cvc"}, DeclineKind.NEEDS_CUSTOMER, DeclineCode.INCORRECT_CVC),
        ({"at_charge": "do_not_honor", "advice": "do_not_try_again"}, DeclineKind.HARD, DeclineCode.DO_NOT_HONOR),
        ({"at_charge": "a_code_of_2031"}, DeclineKind.SOFT, DeclineCode.GENERIC_DECLINE),
    ],
)
def test_a_decline_names_the_intent_and_is_found_again(fake, gateway, charge, vault, behaviour, kind, code):
    """The intent's id stands inside the error; the lookup answers the same."""
    request = charge(method=vault(**behaviour))
    outcome = perform(gateway, request)
    assert isinstance(outcome, Declined)
    assert (outcome.kind, outcome.code) == (kind, code)
    assert outcome.gateway_id == fake.objects("payment_intents")[0]["id"]
    looked_up = perform(gateway, Lookup("pay_1", USD, gateway_customer=request.gateway_customer))
    assert looked_up == outcome
    assert perform(gateway, request) == outcome
    assert fake.charges() == []


def test_a_bank_that_wants_the_customer_gets_a_page_for_him(fake, gateway, charge, vault):
    """Off session it cannot be asked; the same intent is confirmed as if he were there, and the page sent to him."""
    method = vault(authenticate="always")
    outcome = perform(gateway, charge(method=method))
    [intent] = fake.objects("payment_intents")
    assert outcome == ActionRequired(intent["id"], f"{fake.url}/_fake/bank/{intent['id']}")
    assert intent["next_action"]["redirect_to_url"]["return_url"] == "https://shop.example/back"
    assert perform(gateway, charge(method=method)) == outcome
    assert perform(gateway, Lookup("pay_1", USD, gateway_id=intent["id"])) == outcome
    fake.call("authenticate", id=intent["id"], granted=True)
    approved = Approved(intent["id"], 4900, "USD")
    assert perform(gateway, Lookup("pay_1", USD, gateway_id=intent["id"])) == approved
    assert len(fake.charges()) == 1


def test_a_customer_who_refuses_at_his_bank_can_be_asked_again(fake, gateway, charge, vault):
    outcome = perform(gateway, charge(method=vault(authenticate="always")))
    fake.call("authenticate", id=outcome.gateway_id, granted=False)
    refused = perform(gateway, Lookup("pay_1", USD, gateway_id=outcome.gateway_id))
    assert isinstance(refused, Declined)
    assert (refused.kind, refused.code) == (DeclineKind.NEEDS_CUSTOMER, DeclineCode.AUTHENTICATION_REQUIRED)


def test_on_session_the_page_comes_at_once(fake, gateway, charge, vault):
    outcome = perform(gateway, charge(method=vault(authenticate="always"), on_session=True))
    assert isinstance(outcome, ActionRequired)
    assert "off_session" not in sent(fake)
    assert fake.requests(path="/v1/payment_intents/") == []


def test_without_a_way_back_nothing_waits_for_a_page(fake, build, charge, vault):
    """A payment that waits for a page nobody can be sent to would wait for ever."""
    gateway = build(return_url="")
    for on_session in (False, True):
        request = charge(int(on_session), method=vault(authenticate="always"), on_session=on_session)
        outcome = perform(gateway, request)
        assert isinstance(outcome, Declined)
        assert outcome.kind is DeclineKind.NEEDS_CUSTOMER
    assert {intent["status"] for intent in fake.objects("payment_intents")} == {"requires_payment_method"}
    assert sent(fake)["error_on_requires_action"] == "true"


def test_a_lost_answer_about_the_page_is_unknown_and_found(fake, gateway, charge, vault):
    request = charge(method=vault(authenticate="always"))
    fake.fault("reset", "after", path="/v1/payment_intents/")
    with pytest.raises(Exception, match="did not answer"):
        perform(gateway, request)
    found = perform(gateway, Lookup("pay_1", USD, gateway_customer=request.gateway_customer))
    assert isinstance(found, ActionRequired)
    assert perform(gateway, request) == found


def test_an_authenticated_card_is_not_asked_again(fake, gateway, charge, vault):
    method = vault(authenticate="unprepared")
    asked = perform(gateway, charge(1, method))
    fake.call("authenticate", id=asked.gateway_id, granted=True)
    assert isinstance(perform(gateway, charge(2, method)), Approved)


def test_a_detached_method_is_dead(gateway, charge, vault):
    """Stripe says so in a message without any code."""
    method = vault()
    perform_method(gateway, Detach(method.token))
    outcome = perform(gateway, charge(method=method))
    assert isinstance(outcome, Declined)
    assert (outcome.kind, outcome.code) == (DeclineKind.HARD, DeclineCode.METHOD_UNKNOWN)


def test_a_method_of_another_customer_is_not_charged(fake, gateway, charge, vault):
    others = vault("cus_2")
    mine = charge().gateway_customer
    outcome = perform(gateway, charge(method=others, gateway_customer=mine))
    assert isinstance(outcome, Declined)
    assert fake.charges() == []


def test_a_status_of_next_year_is_pending(fake, gateway, charge):
    outcome = perform(gateway, charge())
    fake.call("status", id=outcome.gateway_id, status="settling_on_the_moon")
    assert perform(gateway, Lookup("pay_1", USD, gateway_id=outcome.gateway_id)) == Pending(outcome.gateway_id)


def test_a_waiting_charge_is_canceled_for_good(fake, gateway, charge, vault):
    waiting = perform(gateway, charge(method=vault(authenticate="always")))
    request = Cancel("pay_1", USD, gateway_id=waiting.gateway_id)
    first, second = perform(gateway, request), perform(gateway, request)
    assert isinstance(first, Declined)
    assert first.code is DeclineCode.CANCELED
    assert first == second == perform(gateway, Lookup("pay_1", USD, gateway_id=waiting.gateway_id))
    assert fake.charges() == []


def test_a_charge_that_went_through_is_not_canceled(gateway, charge):
    approved = perform(gateway, charge())
    assert perform(gateway, Cancel("pay_1", USD, gateway_id=approved.gateway_id)) == approved


def test_what_goes_through_at_the_moment_of_canceling_is_told(fake, gateway, charge, vault):
    """Between the look and the cancellation the customer confirms at his bank."""
    waiting = perform(gateway, charge(method=vault(authenticate="always")))
    finder = gateway._connected().charges._finder
    looked_at = finder.intent(Lookup("pay_1", USD, gateway_id=waiting.gateway_id))
    finder.intent = lambda _: looked_at
    fake.call("authenticate", id=waiting.gateway_id, granted=True)
    assert perform(gateway, Cancel("pay_1", USD)) == Approved(waiting.gateway_id, 4900, "USD")


def test_metadata_fits_stripes_limits_and_ours_comes_first(charge):
    others = {"attempt_id": "theirs", "x[y]": "1", "": "2", "n" * 41: "3", "note": "n" * 600}
    others |= {f"k{number}": "v" for number in range(60)}
    kept = metadata(charge(metadata=others))
    assert kept["attempt_id"] == "pay_1"
    assert len(kept) == 50
    assert kept["note"] == "n" * 500
    assert not {"x[y]", "", "n" * 41} & set(kept)
