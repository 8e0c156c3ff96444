"""What every status of Stripe's objects is to billcore, and what a new one is."""

from typing import get_args

import pytest
import stripe

from billcore.plugins.gateway import (
    ActionRequired,
    Approved,
    DeclineCode,
    Declined,
    DeclineKind,
    GatewayUnknown,
    Pending,
)
from billcore_gateway_stripe.outcomes import action_url, intent_outcome, refund_outcome

LINK = "https://hooks.stripe.example/3ds"


def intent(status, **more):
    return {"object": "payment_intent", "id": "pi_1", "status": status, "currency": "usd", "amount": 4900, **more}


def refund(status, **more):
    return {"object": "refund", "id": "re_1", "status": status, "currency": "usd", "amount": 1000, **more}


STATUSES = {
    "succeeded": Approved("pi_1", 4900, "USD"),
    "processing": Pending("pi_1"),
    "requires_action": Pending("pi_1"),
    "requires_confirmation": Pending("pi_1"),
    "requires_capture": Pending("pi_1"),
    "requires_payment_method": Pending("pi_1"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_of_an_intent_is_an_outcome(status):
    assert intent_outcome(intent(status, amount_received=4900)) == STATUSES[status]


def test_every_status_that_the_sdk_knows_is_mapped():
    literal, _ = get_args(stripe.PaymentIntent.__annotations__["status"])
    assert set(get_args(literal)) == {*STATUSES, "canceled"}


@pytest.mark.parametrize("status", ["", "partially_funded_by_2031"])
def test_a_status_nobody_has_seen_neither_settles_nor_fails(status):
    if status:
        assert intent_outcome(intent(status)) == Pending("pi_1")
        assert refund_outcome(refund(status)) == Pending("re_1")
    else:
        with pytest.raises(GatewayUnknown):
            intent_outcome(intent(status))


def test_a_canceled_intent_is_a_decline_of_its_own():
    outcome = intent_outcome(intent("canceled", cancellation_reason="abandoned"))
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.gateway_id) == (DeclineCode.CANCELED, "pi_1")
    assert "abandoned" in outcome.message


def test_what_was_received_counts_not_what_was_asked():
    assert intent_outcome(intent("succeeded", amount_received=3000)) == Approved("pi_1", 3000, "USD")


def test_an_intent_that_waits_for_a_method_has_failed_only_when_it_says_so():
    """While Stripe talks to the bank an intent may look like that, too."""
    assert intent_outcome(intent("requires_payment_method", last_payment_error=None)) == Pending("pi_1")
    error = {"code": "card_declined", "decline_code": "lost_card", "message": "Your card was declined."}
    outcome = intent_outcome(intent("requires_payment_method", last_payment_error=error))
    assert outcome == Declined(DeclineKind.HARD, DeclineCode.LOST_CARD, "Your card was declined.", gateway_id="pi_1")


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("redirect_to_url", {"url": LINK, "return_url": "https://shop.example"}),
        ("verify_with_microdeposits", {"hosted_verification_url": LINK, "arrival_date": 1}),
        ("oxxo_display_details", {"hosted_voucher_url": LINK, "number": "1"}),
        ("display_bank_transfer_instructions", {"hosted_instructions_url": LINK}),
        ("alipay_handle_redirect", {"url": LINK, "native_url": "alipay://x"}),
    ],
)
def test_what_the_customer_has_to_do_is_a_page(kind, details):
    waiting = intent("requires_action", next_action={"type": kind, kind: details})
    assert intent_outcome(waiting) == ActionRequired("pi_1", LINK)


@pytest.mark.parametrize(
    "action",
    [
        None,
        {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "x"}},
        {"type": "redirect_to_url"},
        {"type": "pay_by_x"},
    ],
)
def test_without_a_page_the_customer_cannot_be_sent_anywhere(action):
    assert action_url(intent("requires_action", next_action=action)) == ""
    assert intent_outcome(intent("requires_action", next_action=action)) == Pending("pi_1")


@pytest.mark.parametrize("status", ["pending", "requires_action"])
def test_a_refund_under_way_is_pending(status):
    assert refund_outcome(refund(status)) == Pending("re_1")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("lost_or_stolen_card", DeclineCode.LOST_CARD),
        ("expired_or_canceled_card", DeclineCode.EXPIRED_CARD),
        ("charge_for_pending_refund_disputed", DeclineCode.TRANSACTION_NOT_ALLOWED),
        ("insufficient_funds", DeclineCode.INSUFFICIENT_FUNDS),
        ("merchant_request", DeclineCode.CANCELED),
        ("declined", DeclineCode.GENERIC_DECLINE),
        ("unknown", DeclineCode.GENERIC_DECLINE),
        ("a reason of 2031", DeclineCode.GENERIC_DECLINE),
        (None, DeclineCode.GENERIC_DECLINE),
    ],
)
def test_a_failed_refund_says_why(reason, code):
    outcome = refund_outcome(refund("failed", failure_reason=reason))
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.gateway_id) == (code, "re_1")


def test_a_refund_that_went_through_or_was_called_off():
    assert refund_outcome(refund("succeeded")) == Approved("re_1", 1000, "USD")
    called_off = refund_outcome(refund("canceled"))
    assert isinstance(called_off, Declined)
    assert called_off.code is DeclineCode.CANCELED


@pytest.mark.parametrize(
    "answer",
    [{}, {"object": "payment_intent"}, intent("succeeded"), intent("succeeded", object="charge"), {"id": "pi_1"}],
)
def test_what_is_no_intent_is_no_outcome(answer):
    """An approval without an amount settles nothing."""
    with pytest.raises(GatewayUnknown):
        intent_outcome(answer)
