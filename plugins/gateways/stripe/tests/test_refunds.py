"""Refunds: partial, too much, under way, failing later, and on charges that cannot be refunded."""

import pytest

from billcore.plugins.gateway import (
    Approved,
    DeclineCode,
    Declined,
    GatewayMisconfigured,
    Lookup,
    Money,
    Pending,
    perform,
)

TEN = Money(1000, "USD")


def test_a_charge_is_refunded_in_parts_but_never_beyond(fake, gateway, charge, refund):
    of = perform(gateway, charge()).gateway_id
    for number in range(1, 5):
        assert isinstance(perform(gateway, refund(of, number)), Approved)
    too_much = perform(gateway, refund(of, 5))
    assert isinstance(too_much, Declined)
    assert too_much.code is DeclineCode.TRANSACTION_NOT_ALLOWED
    assert isinstance(perform(gateway, refund(of, 6, Money(900, "USD"))), Approved)
    nothing_left = perform(gateway, refund(of, 7))
    assert isinstance(nothing_left, Declined)
    assert sum(row["amount"] for row in fake.book() if row["verb"] == "refund") == 4900


def test_the_same_key_refunds_once(fake, gateway, charge, refund):
    of = perform(gateway, charge()).gateway_id
    assert perform(gateway, refund(of)) == perform(gateway, refund(of))
    assert len(fake.objects("refunds")) == 1


def test_a_key_that_was_used_for_another_refund_refunds_nothing(fake, gateway, charge, refund):
    of = perform(gateway, charge()).gateway_id
    first = perform(gateway, refund(of))
    assert perform(gateway, refund(of, reason="in other words")) == first
    with pytest.raises(GatewayMisconfigured):
        perform(gateway, refund(of, amount=Money(2000, "USD")))
    assert len(fake.objects("refunds")) == 1


def test_the_reason_is_told_to_stripe_in_its_own_words_or_kept_as_ours(fake, gateway, charge, refund):
    of = perform(gateway, charge()).gateway_id
    perform(gateway, refund(of, 1, reason="duplicate"))
    perform(gateway, refund(of, 2, reason="the lift was broken"))
    second, first = fake.objects("refunds")
    assert (first["reason"], first["metadata"]) == ("duplicate", {"attempt_id": "ref_1"})
    assert second["reason"] is None
    assert second["metadata"] == {"attempt_id": "ref_2", "reason": "the lift was broken"}


def test_a_refund_is_pending_until_the_bank_has_it(fake, gateway, charge, refund, vault):
    of = perform(gateway, charge(method=vault(refund="pending"))).gateway_id
    under_way = perform(gateway, refund(of))
    assert isinstance(under_way, Pending)
    assert perform(gateway, Lookup("ref_1", TEN, "refund", of=of)) == under_way
    fake.call("refund", id=under_way.gateway_id, status="succeeded")
    assert perform(gateway, Lookup("ref_1", TEN, "refund", of=of)) == Approved(under_way.gateway_id, 1000, "USD")


def test_a_refund_that_succeeded_may_fail_later(fake, gateway, charge, refund, vault):
    """The card was closed meanwhile; the money is back with the merchant."""
    of = perform(gateway, charge(method=vault(refund="failing"))).gateway_id
    approved = perform(gateway, refund(of))
    assert isinstance(approved, Approved)
    fake.call("refund", id=approved.gateway_id, status="failed", reason="expired_or_canceled_card")
    for hint in (Lookup("ref_1", TEN, "refund", of=of), Lookup("ref_1", TEN, "refund", approved.gateway_id)):
        failed = perform(gateway, hint)
        assert isinstance(failed, Declined)
        assert failed.code is DeclineCode.EXPIRED_CARD
    assert perform(gateway, refund(of)) == failed


@pytest.mark.parametrize("of", ["pi_gone", "ch_gone"])
def test_there_is_no_refund_of_a_charge_that_there_is_not(gateway, refund, of):
    outcome = perform(gateway, refund(of))
    assert isinstance(outcome, Declined)
    assert outcome.code is DeclineCode.TRANSACTION_NOT_ALLOWED


def test_a_charge_that_never_went_through_has_nothing_to_refund(gateway, charge, refund, vault):
    declined = perform(gateway, charge(method=vault(at_charge="do_not_honor")))
    outcome = perform(gateway, refund(declined.gateway_id))
    assert isinstance(outcome, Declined)
    assert outcome.code is DeclineCode.TRANSACTION_NOT_ALLOWED


def test_a_disputed_charge_is_not_refunded_as_well(fake, gateway, charge, refund):
    of = perform(gateway, charge()).gateway_id
    fake.call("dispute", id=of, status="needs_response")
    outcome = perform(gateway, refund(of))
    assert isinstance(outcome, Declined)
    assert outcome.code is DeclineCode.TRANSACTION_NOT_ALLOWED


def test_a_refund_by_the_charges_own_id_works_as_well(fake, gateway, charge, refund):
    """Payments that were taken over from elsewhere may be known by ch_… only."""
    perform(gateway, charge())
    [taken] = fake.objects("charges")
    assert isinstance(perform(gateway, refund(taken["id"])), Approved)
    assert isinstance(perform(gateway, Lookup("ref_1", TEN, "refund", of=taken["id"])), Approved)
