"""What is made of Stripe's refusals that come at the second call of a verb, or seldom."""

import pytest

from billcore.plugins.gateway import (
    ActionRequired,
    Cancel,
    Charge,
    DeclineCode,
    Declined,
    Detach,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    HostedPage,
    MethodRefused,
    Money,
    Refund,
    Secret,
    Vault,
    Verify,
)
from billcore_gateway_stripe import Config
from billcore_gateway_stripe.charges import Charges
from billcore_gateway_stripe.methods import Methods
from billcore_gateway_stripe.refused import Question, Refused, failure_of

USD = Money(4900, "USD")
CONFIG = Config(Secret("sk_test_x"), return_url="https://shop.example/back")
CHARGE = Charge("pay_1", "k", USD, "pm_1", "cus_1", "inv_1", gateway_customer="cus_s")
CARD = {"id": "pm_1", "object": "payment_method", "type": "card", "customer": None, "card": {"last4": "4242"}}
KEPT = {**CARD, "customer": {"id": "cus_s", "metadata": {"customer_id": "cus_1"}}}
BANK = {"id": "pm_1", "object": "payment_method", "type": "us_bank_account", "customer": None}
SETUP = {"id": "seti_1", "object": "setup_intent", "status": "requires_action", "customer": "cus_s"}
NO_SETUP = {"data": []}


class Answers:
    """A wire on which these answers come in order."""

    replayed = False

    def __init__(self, *answers):
        self._answers = list(answers)

    def ask(self, question, call):
        return self._answers.pop(0)

    def get(self, question, call):
        reply = self.ask(question, call)
        if isinstance(reply, Refused):
            raise failure_of(reply, question)
        return reply

    def used_up(self):
        return not self._answers


def intent(status, **more):
    return {"object": "payment_intent", "id": "pi_1", "status": status, "currency": "usd", **more}


def refused(kind="invalid", status=400, **error):
    return Refused(kind, status, error)


WANTS_CUSTOMER = refused("declined", 402, code="authentication_required", payment_intent={"id": "pi_1"})


@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        ([refused("declined", 402, code="card_declined", decline_code="lost_card")], DeclineCode.LOST_CARD),
        ([refused(code="payment_intent_unexpected_state"), intent("canceled")], DeclineCode.CANCELED),
    ],
)
def test_the_call_with_the_customer_may_end_it(then, outcome):
    answers = Answers(WANTS_CUSTOMER, *then)
    told = Charges(answers, CONFIG).charge(CHARGE)
    assert isinstance(told, Declined)
    assert (told.code, told.gateway_id) == (outcome, "pi_1")
    assert answers.used_up()


def test_an_intent_that_waits_already_is_waited_for():
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example"}}
    answers = Answers(
        WANTS_CUSTOMER,
        refused(code="payment_intent_unexpected_state"),
        intent("requires_action", next_action=action),
    )
    assert Charges(answers, CONFIG).charge(CHARGE) == ActionRequired("pi_1", "https://bank.example")


def test_the_call_with_the_customer_may_be_wrong_but_the_intent_is_there():
    """Nothing was done by that call, but the attempt is not unmade: it is asked about, not forgotten."""
    with pytest.raises(GatewayUnknown):
        Charges(Answers(WANTS_CUSTOMER, refused(code="parameter_unknown")), CONFIG).charge(CHARGE)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (refused("declined", 402, code="card_declined", decline_code="lost_card"), DeclineCode.LOST_CARD),
        (refused(code="balance_insufficient"), DeclineCode.INSUFFICIENT_FUNDS),
        (refused(code="charge_already_refunded"), DeclineCode.TRANSACTION_NOT_ALLOWED),
        (refused(code="refund_disputed_payment"), DeclineCode.TRANSACTION_NOT_ALLOWED),
        (refused(param="amount", message="Refund amount is greater"), DeclineCode.TRANSACTION_NOT_ALLOWED),
        (refused(code="resource_missing", param="id"), DeclineCode.TRANSACTION_NOT_ALLOWED),
    ],
)
def test_a_refund_that_cannot_be_is_a_decline(refusal, code):
    told = Charges(Answers(refusal), CONFIG).refund(Refund("ref_1", "k", USD, "pi_1"))
    assert isinstance(told, Declined)
    assert told.code is code


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (refused(code="parameter_unknown", param="x"), GatewayMisconfigured),
        (refused("broken", 500), GatewayUnknown),
        (
            refused(code="resource_missing", param="id", message="it exists in live mode, not in this"),
            GatewayMisconfigured,
        ),
    ],
)
def test_a_refund_that_was_asked_for_wrongly_is_none(refusal, error):
    with pytest.raises(error):
        Charges(Answers(refusal), CONFIG).refund(Refund("ref_1", "k", USD, "pi_1"))


def test_a_cancellation_that_is_refused_is_told():
    found = intent("processing", metadata={"attempt_id": "pay_1"})
    with pytest.raises(GatewayMisconfigured):
        Charges(Answers(found, refused(code="parameter_unknown")), CONFIG).cancel(Cancel("pay_1", USD, "pi_1"))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("This PaymentMethod was detached from a Customer. It may not be used again.", ""),
        ("It is not in a state for this.", "payment_method_unexpected_state"),
        ("It belongs to another customer.", ""),
    ],
)
def test_a_method_that_cannot_be_charged_any_more_is_dead(message, code):
    told = Charges(Answers(refused(message=message, code=code, param="payment_method")), CONFIG).charge(CHARGE)
    assert isinstance(told, Declined)
    assert told.code is DeclineCode.METHOD_UNKNOWN


FAILED = {"id": "pi_1", "last_payment_error": {"code": "payment_method_provider_decline"}}


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (refused(code="payment_method_currency_mismatch"), DeclineCode.CURRENCY_NOT_SUPPORTED),
        (refused(code="payment_intent_mandate_invalid"), DeclineCode.REVOKED),
        (refused(code="payment_method_provider_decline", payment_intent=FAILED), DeclineCode.GENERIC_DECLINE),
    ],
)
def test_a_bank_may_decline_in_the_words_of_a_wrong_request(refusal, code):
    """Stripe says so of some methods; the customer's method is at fault, not the configuration."""
    told = Charges(Answers(refusal), CONFIG).charge(CHARGE)
    assert isinstance(told, Declined)
    assert told.code is code


def test_a_refusal_of_anything_else_is_the_requests_fault():
    """A currency that is not switched on, a limit of the account: no card would help."""
    with pytest.raises(GatewayMisconfigured, match="amount_too_large"):
        Charges(Answers(refused(code="amount_too_large", message="Too much.")), CONFIG).charge(CHARGE)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([CARD, refused(code="resource_missing", param="payment_method")], MethodRefused),
        ([CARD, refused("declined", 402, code="card_declined")], MethodRefused),
        ([CARD, refused(code="parameter_unknown")], GatewayMisconfigured),
        ([refused(code="parameter_unknown")], GatewayMisconfigured),
        ([BANK, NO_SETUP, refused("declined", 402, code="bank_account_unusable")], MethodRefused),
        ([BANK, NO_SETUP, refused(code="parameter_unknown")], GatewayMisconfigured),
    ],
)
def test_a_method_that_is_not_kept_is_told_apart_from_a_wrong_call(answers, error):
    with pytest.raises(error):
        Methods(Answers(*answers), CONFIG).vault(Vault("cus_1", "pm_1", "cus_s"))


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([refused("broken", 500)], GatewayUnknown),
        ([{"data": []}, refused("broken", 500)], GatewayUnknown),
        ([refused(code="search_not_available"), {"object": "customer"}], GatewayMisconfigured),
    ],
)
def test_a_customer_who_can_neither_be_found_nor_made(answers, error):
    with pytest.raises(error):
        Methods(Answers(*answers), CONFIG).hosted_page(HostedPage("cus_1", "https://shop.example"))


def test_where_there_is_no_search_the_customer_is_made():
    session = {"object": "checkout.session", "url": "https://checkout.example"}
    answers = Answers(refused(code="search_not_available"), {"object": "customer", "id": "cus_s"}, session)
    page = Methods(answers, CONFIG).hosted_page(HostedPage("cus_1", "https://shop.example"))
    assert (page.url, page.gateway_customer) == ("https://checkout.example", "cus_s")


def test_a_detachment_is_told_to_have_failed_only_where_the_method_is_still_there():
    request = Detach("pm_1")
    Methods(Answers(KEPT, refused(), CARD), CONFIG).detach(request)
    Methods(Answers(KEPT, refused(), refused(code="resource_missing")), CONFIG).detach(request)
    for answers in ([KEPT, refused(), KEPT], [KEPT, refused("broken", 500)]):
        with pytest.raises((GatewayMisconfigured, GatewayUnknown)):
            Methods(Answers(*answers), CONFIG).detach(request)


def test_a_verification_that_was_asked_for_wrongly_is_no_wrong_deposit():
    answers = Answers(BANK, {"data": [SETUP]}, refused(code="parameter_unknown"))
    with pytest.raises(GatewayMisconfigured):
        Methods(answers, CONFIG).verify(Verify("pm_1", amounts=(32, 45)))


def test_an_account_that_its_bank_has_blocked_is_disabled():
    blocked = {**BANK, "customer": "cus_s", "us_bank_account": {"status_details": {"blocked": {"reason": "debits"}}}}
    kept = Methods(Answers(blocked, {"data": [{**SETUP, "status": "succeeded"}]}), CONFIG).describe(Detach("pm_1"))
    assert kept.status == "disabled"


def test_the_three_errors_keep_the_attempt_and_stripes_own_number():
    error = failure_of(Refused("broken", 500, {"message": "Down."}, "req_1"), Question("the charge", "pay_1"))
    assert error.facts["attempt_id"] == "pay_1"
    assert "req_1" in error.remedy
    assert not isinstance(error, GatewayNotSent)
