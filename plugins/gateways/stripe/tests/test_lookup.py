"""Finding an attempt by our id: after every fault exactly one charge, and never a hasty "not found"."""

from datetime import UTC, datetime, timedelta

import pytest

from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    Cancel,
    GatewayUnknown,
    Lookup,
    Money,
    perform,
)
from billcore_gateway_stripe import finder

USD = Money(4900, "USD")
TEN = Money(1000, "USD")
CHARGES = "/v1/payment_intents"


@pytest.mark.parametrize("kind", ["timeout", "reset", "error_500", "garbage", "truncated"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_after_a_lost_answer_there_is_one_charge_or_none(fake, build, gateway, charge, kind, where):
    request = charge()
    fake.fault(kind, where, path=CHARGES)
    with pytest.raises(GatewayUnknown):
        perform(build(timeout_s=1), request)
    questions = [Lookup("pay_1", USD, gateway_customer=request.gateway_customer), Lookup("pay_1", USD)]
    for question in questions:
        found = perform(gateway, question)
        assert isinstance(found, Approved if where == "after" else AttemptNotFound)
    assert isinstance(perform(gateway, request), Approved)
    assert {type(perform(gateway, question)) for question in questions} == {Approved}
    assert len(fake.charges("pay_1")) == 1


@pytest.mark.parametrize("kind", ["reset", "error_500", "garbage"])
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("hint", ["charge", "none"])
def test_after_a_lost_answer_there_is_one_refund_or_none(fake, gateway, charge, refund, kind, where, hint):
    of = perform(gateway, charge()).gateway_id
    request = refund(of)
    fake.fault(kind, where, path="/v1/refunds")
    with pytest.raises(GatewayUnknown):
        perform(gateway, request)
    question = Lookup("ref_1", TEN, "refund", of=of if hint == "charge" else "")
    assert isinstance(perform(gateway, question), Approved if where == "after" else AttemptNotFound)
    assert isinstance(perform(gateway, request), Approved)
    assert isinstance(perform(gateway, question), Approved)
    assert sum(row["amount"] for row in fake.book() if row["verb"] == "refund") == 1000


def test_the_gateways_own_id_is_one_call(fake, gateway, charge):
    approved = perform(gateway, charge())
    before = len(fake.requests("GET"))
    assert perform(gateway, Lookup("pay_1", USD, gateway_id=approved.gateway_id)) == approved
    assert len(fake.requests("GET")) == before + 1


def test_an_id_of_another_attempt_is_not_believed(gateway, charge):
    first, second = perform(gateway, charge(1)), perform(gateway, charge(2))
    assert perform(gateway, Lookup("pay_1", USD, gateway_id=second.gateway_id)) == first
    assert perform(gateway, Lookup("pay_1", USD, gateway_id="pi_gone")) == first


def test_an_attempt_is_found_on_a_later_page(fake, gateway, charge, monkeypatch):
    monkeypatch.setattr(finder, "PAGE", 2)
    approved = [perform(gateway, charge(number)) for number in range(1, 6)]
    customer = charge().gateway_customer
    assert perform(gateway, Lookup("pay_1", USD, gateway_customer=customer)) == approved[0]
    assert perform(gateway, Lookup("pay_9", USD, gateway_customer=customer)) == AttemptNotFound("pay_9")
    assert len(fake.requests("GET", "/v1/payment_intents")) == 6


def test_a_customer_who_is_gone_at_stripe_is_looked_for_everywhere(gateway, charge):
    approved = perform(gateway, charge())
    assert perform(gateway, Lookup("pay_1", USD, gateway_customer="cus_gone")) == approved


def test_the_search_is_asked_last_and_what_it_finds_is_read_anew(fake, gateway, charge, vault, monkeypatch):
    """The search shows an object as it was when it first saw it: here, waiting for the customer."""
    waiting = perform(gateway, charge(1, vault(authenticate="always")))
    for number in range(2, 5):
        perform(gateway, charge(number))
    fake.call("authenticate", id=waiting.gateway_id, granted=True)
    monkeypatch.setattr(finder, "PAGE", 1)
    monkeypatch.setattr(finder, "ACCOUNT_PAGES", 2)
    fake.call("advance", seconds=120)
    assert perform(gateway, Lookup("pay_1", USD)) == Approved(waiting.gateway_id, 4900, "USD")


def test_within_the_searchs_lag_not_found_is_not_concluded(fake, gateway, charge, monkeypatch):
    """A charge that is there and cannot be seen yet would be charged again."""
    for number in range(1, 5):
        perform(gateway, charge(number))
    monkeypatch.setattr(finder, "PAGE", 1)
    monkeypatch.setattr(finder, "ACCOUNT_PAGES", 2)
    for question in (Lookup("pay_1", USD), Lookup("pay_9", USD), Cancel("pay_1", USD)):
        with pytest.raises(GatewayUnknown, match="Too many"):
            perform(gateway, question)


def test_behind_what_is_a_day_older_than_the_attempt_nothing_is_looked_for(gateway, charge, monkeypatch):
    """Lists are in order: behind an object of the day before yesterday there is nothing of today."""
    for number in range(1, 5):
        perform(gateway, charge(number))
    monkeypatch.setattr(finder, "PAGE", 1)
    monkeypatch.setattr(finder, "ACCOUNT_PAGES", 2)
    now = datetime.now(UTC)
    assert perform(gateway, Lookup("pay_9", USD, sent_at=now + timedelta(days=2))) == AttemptNotFound("pay_9")
    with pytest.raises(GatewayUnknown):
        perform(gateway, Lookup("pay_9", USD, sent_at=now))


def test_a_refund_without_its_charge_is_not_given_up_too_early(gateway, charge, refund, monkeypatch):
    of = perform(gateway, charge()).gateway_id
    for number in range(1, 4):
        perform(gateway, refund(of, number))
    monkeypatch.setattr(finder, "PAGE", 1)
    monkeypatch.setattr(finder, "ACCOUNT_PAGES", 2)
    with pytest.raises(GatewayUnknown, match="Too many"):
        perform(gateway, Lookup("ref_1", TEN, "refund"))
    assert isinstance(perform(gateway, Lookup("ref_1", TEN, "refund", of=of)), Approved)
    assert perform(gateway, Lookup("ref_9", TEN, "refund", of=of)) == AttemptNotFound("ref_9")


def test_a_broken_list_is_no_answer(fake, gateway, charge):
    request = charge()
    for kind in ("error_500", "garbage", "reset"):
        fake.fault(kind, method="GET", path=CHARGES)
        with pytest.raises(GatewayUnknown):
            perform(gateway, Lookup("pay_1", USD, gateway_customer=request.gateway_customer))


def test_an_attempt_id_with_quotes_finds_only_itself(fake, gateway, charge):
    name = "pay'_\\1"
    approved = perform(gateway, charge(attempt_id=name))
    assert perform(gateway, Lookup(name, USD)) == approved
    fake.call("advance", seconds=120)
    searched = gateway._connected().charges._finder._searched(finder.Question("it", name))
    assert searched["id"] == approved.gateway_id


def test_a_verb_that_stripe_is_never_asked_for_is_not_found(gateway):
    assert perform(gateway, Lookup("pay_1", USD, "capture")) == AttemptNotFound("pay_1")
