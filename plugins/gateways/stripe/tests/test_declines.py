"""Stripe's decline codes in the standard vocabulary; advice decides above them."""

import pytest

from billcore.plugins.gateway import Advice, DeclineCode, DeclineKind
from billcore_gateway_stripe.declines import decline_code, decline_of

HARD = (
    "lost_card stolen_card pickup_card restricted_card fraudulent expired_card incorrect_number invalid_account "
    "invalid_expiry_month invalid_expiry_year card_not_supported currency_not_supported revocation_of_authorization "
    "revocation_of_all_authorizations stop_payment_order do_not_try_again transaction_not_allowed testmode_decline "
    "debit_not_authorized no_account account_closed"
)
SOFT = (
    "insufficient_funds card_velocity_exceeded withdrawal_count_limit_exceeded issuer_not_available processing_error "
    "reenter_transaction try_again_later approve_with_id call_issuer do_not_honor generic_decline service_not_allowed "
    "a_code_of_2031"
)
CUSTOMER = "authentication_required incorrect_cvc incorrect_zip incorrect_pin"
KINDS = [
    *((code, DeclineKind.HARD) for code in HARD.split()),
    *((code, DeclineKind.SOFT) for code in SOFT.split()),
    *((code, DeclineKind.NEEDS_CUSTOMER) for code in CUSTOMER.split()),
]


@pytest.mark.parametrize(("code", "kind"), KINDS)
def test_a_code_asks_for_a_new_method_a_later_try_or_the_customer(code, kind):
    by_issuer = decline_of({"code": "card_declined", "decline_code": code, "message": "No."}, "pi_1")
    by_itself = decline_of({"code": code, "message": "No."}, "pi_1")
    assert by_issuer.kind is kind
    assert by_itself.kind is kind or code not in {"expired_card", "incorrect_cvc", "debit_not_authorized", "no_account"}
    assert (by_issuer.message, by_issuer.gateway_id) == ("No.", "pi_1")


@pytest.mark.parametrize(
    ("advice", "kind"),
    [
        ("do_not_try_again", DeclineKind.HARD),
        ("try_again_later", DeclineKind.SOFT),
        ("confirm_card_data", DeclineKind.NEEDS_CUSTOMER),
        ("something_of_2031", None),
    ],
)
@pytest.mark.parametrize("code", ["insufficient_funds", "lost_card", "incorrect_cvc"])
def test_the_issuers_advice_decides_above_its_code(advice, kind, code):
    plain = decline_of({"code": "card_declined", "decline_code": code}, "pi_1")
    advised = decline_of({"code": "card_declined", "decline_code": code, "advice_code": advice}, "pi_1")
    assert advised.code is plain.code
    assert advised.kind is (kind or plain.kind)
    assert advised.advice == (Advice(advice) if kind else Advice.NONE)


@pytest.mark.parametrize(
    ("code", "issuer", "wanted"),
    [
        ("card_declined", "", DeclineCode.GENERIC_DECLINE),
        ("card_declined", "lost_card", DeclineCode.LOST_CARD),
        ("expired_card", "expired_card", DeclineCode.EXPIRED_CARD),
        ("payment_intent_authentication_failure", "", DeclineCode.AUTHENTICATION_REQUIRED),
        ("payment_intent_mandate_invalid", "", DeclineCode.REVOKED),
        ("payment_method_provider_decline", "", DeclineCode.GENERIC_DECLINE),
        ("card_decline_rate_limit_exceeded", "", DeclineCode.VELOCITY_EXCEEDED),
        ("", "", DeclineCode.GENERIC_DECLINE),
    ],
)
def test_the_issuers_code_says_more_than_the_errors(code, issuer, wanted):
    assert decline_code(code, issuer) is wanted
