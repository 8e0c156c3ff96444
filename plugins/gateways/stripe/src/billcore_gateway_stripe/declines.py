"""Stripe's decline and error codes in billcore's vocabulary (behaviour 9.2, 9.5).

A code that stands in no table is a generic decline: soft, so tried again by the schedule and no more. The issuer's
advice, where Stripe passes it on, decides above the code.
"""

from collections.abc import Mapping
from types import MappingProxyType

from billcore.plugins.gateway import Advice, DeclineCode, Declined, declined
from billcore_gateway_stripe.plain import Plain, part, text

# A decline_code: what the card's issuer, or a bank, said.
_BY_DECLINE_CODE: Mapping[str, DeclineCode] = MappingProxyType(
    {
        "approve_with_id": DeclineCode.TRY_AGAIN_LATER,
        "authentication_not_handled": DeclineCode.AUTHENTICATION_REQUIRED,
        "authentication_required": DeclineCode.AUTHENTICATION_REQUIRED,
        "call_issuer": DeclineCode.CALL_ISSUER,
        "card_not_supported": DeclineCode.CARD_NOT_SUPPORTED,
        "card_velocity_exceeded": DeclineCode.VELOCITY_EXCEEDED,
        "currency_not_supported": DeclineCode.CURRENCY_NOT_SUPPORTED,
        "do_not_honor": DeclineCode.DO_NOT_HONOR,
        "do_not_try_again": DeclineCode.DO_NOT_TRY_AGAIN,
        "duplicate_transaction": DeclineCode.PROCESSING_ERROR,
        "expired_card": DeclineCode.EXPIRED_CARD,
        "fraudulent": DeclineCode.FRAUDULENT,
        "generic_decline": DeclineCode.GENERIC_DECLINE,
        "highest_risk_level": DeclineCode.FRAUDULENT,
        "incorrect_address": DeclineCode.INCORRECT_POSTCODE,
        "incorrect_cvc": DeclineCode.INCORRECT_CVC,
        "incorrect_number": DeclineCode.INCORRECT_NUMBER,
        "incorrect_pin": DeclineCode.INCORRECT_PIN,
        "incorrect_zip": DeclineCode.INCORRECT_POSTCODE,
        "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
        "invalid_account": DeclineCode.INVALID_ACCOUNT,
        "invalid_amount": DeclineCode.LIMIT_EXCEEDED,
        "invalid_cvc": DeclineCode.INCORRECT_CVC,
        "invalid_expiry_month": DeclineCode.INVALID_EXPIRY,
        "invalid_expiry_year": DeclineCode.INVALID_EXPIRY,
        "invalid_number": DeclineCode.INCORRECT_NUMBER,
        "invalid_pin": DeclineCode.INCORRECT_PIN,
        "issuer_not_available": DeclineCode.ISSUER_NOT_AVAILABLE,
        "lost_card": DeclineCode.LOST_CARD,
        "merchant_blacklist": DeclineCode.FRAUDULENT,
        "mobile_device_authentication_required": DeclineCode.AUTHENTICATION_REQUIRED,
        "new_account_information_available": DeclineCode.INVALID_ACCOUNT,
        "no_action_taken": DeclineCode.GENERIC_DECLINE,
        "not_permitted": DeclineCode.TRANSACTION_NOT_ALLOWED,
        "offline_pin_required": DeclineCode.INCORRECT_PIN,
        "online_or_offline_pin_required": DeclineCode.INCORRECT_PIN,
        "pickup_card": DeclineCode.PICKUP_CARD,
        "pin_try_exceeded": DeclineCode.INCORRECT_PIN,
        "previously_declined_do_not_honor": DeclineCode.DO_NOT_HONOR,
        "processing_error": DeclineCode.PROCESSING_ERROR,
        "reenter_transaction": DeclineCode.TRY_AGAIN_LATER,
        "restricted_card": DeclineCode.RESTRICTED_CARD,
        "revocation_of_all_authorizations": DeclineCode.REVOKED,
        "revocation_of_authorization": DeclineCode.REVOKED,
        "security_violation": DeclineCode.GENERIC_DECLINE,
        "service_not_allowed": DeclineCode.SERVICE_NOT_ALLOWED,
        "stolen_card": DeclineCode.STOLEN_CARD,
        "stop_payment_order": DeclineCode.STOP_PAYMENT,
        "testmode_decline": DeclineCode.TRANSACTION_NOT_ALLOWED,
        "transaction_not_allowed": DeclineCode.TRANSACTION_NOT_ALLOWED,
        "try_again_later": DeclineCode.TRY_AGAIN_LATER,
        "withdrawal_count_limit_exceeded": DeclineCode.LIMIT_EXCEEDED,
    }
)

# An error's code: where there is no decline_code, and for what banks and Stripe itself refuse.
_BY_CODE: Mapping[str, DeclineCode] = MappingProxyType(
    {
        "account_closed": DeclineCode.ACCOUNT_CLOSED,
        "authentication_required": DeclineCode.AUTHENTICATION_REQUIRED,
        "bank_account_declined": DeclineCode.INVALID_ACCOUNT,
        "bank_account_restricted": DeclineCode.INVALID_ACCOUNT,
        "bank_account_unusable": DeclineCode.INVALID_ACCOUNT,
        "billing_invalid_mandate": DeclineCode.REVOKED,
        "card_decline_rate_limit_exceeded": DeclineCode.VELOCITY_EXCEEDED,
        "charge_exceeds_source_limit": DeclineCode.LIMIT_EXCEEDED,
        "charge_exceeds_transaction_limit": DeclineCode.LIMIT_EXCEEDED,
        "debit_not_authorized": DeclineCode.DEBIT_NOT_AUTHORIZED,
        "expired_card": DeclineCode.EXPIRED_CARD,
        "expired_payment_method": DeclineCode.EXPIRED_CARD,
        "incorrect_address": DeclineCode.INCORRECT_POSTCODE,
        "incorrect_cvc": DeclineCode.INCORRECT_CVC,
        "incorrect_number": DeclineCode.INCORRECT_NUMBER,
        "incorrect_postal_code": DeclineCode.INCORRECT_POSTCODE,
        "incorrect_zip": DeclineCode.INCORRECT_POSTCODE,
        "india_recurring_payment_mandate_canceled": DeclineCode.REVOKED,
        "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
        "invalid_card_type": DeclineCode.CARD_NOT_SUPPORTED,
        "invalid_cvc": DeclineCode.INCORRECT_CVC,
        "invalid_expiry_month": DeclineCode.INVALID_EXPIRY,
        "invalid_expiry_year": DeclineCode.INVALID_EXPIRY,
        "invalid_number": DeclineCode.INCORRECT_NUMBER,
        "no_account": DeclineCode.NO_ACCOUNT,
        "payment_intent_action_required": DeclineCode.AUTHENTICATION_REQUIRED,
        "payment_intent_authentication_failure": DeclineCode.AUTHENTICATION_REQUIRED,
        "payment_intent_mandate_invalid": DeclineCode.REVOKED,
        "payment_method_bank_account_blocked": DeclineCode.INVALID_ACCOUNT,
        "payment_method_currency_mismatch": DeclineCode.CURRENCY_NOT_SUPPORTED,
        "payment_method_not_available": DeclineCode.ISSUER_NOT_AVAILABLE,
        "payment_method_provider_timeout": DeclineCode.ISSUER_NOT_AVAILABLE,
        "payment_method_restricted": DeclineCode.RESTRICTED_CARD,
        "processing_error": DeclineCode.PROCESSING_ERROR,
        "refer_to_customer": DeclineCode.CALL_ISSUER,
        "sepa_unsupported_account": DeclineCode.INVALID_ACCOUNT,
        "setup_intent_authentication_failure": DeclineCode.AUTHENTICATION_REQUIRED,
    }
)

_BY_REFUND_FAILURE: Mapping[str, DeclineCode] = MappingProxyType(
    {
        "charge_for_pending_refund_disputed": DeclineCode.TRANSACTION_NOT_ALLOWED,
        "declined": DeclineCode.GENERIC_DECLINE,
        "expired_or_canceled_card": DeclineCode.EXPIRED_CARD,
        "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
        "lost_or_stolen_card": DeclineCode.LOST_CARD,
        "merchant_request": DeclineCode.CANCELED,
    }
)

_ADVICE: Mapping[str, Advice] = MappingProxyType({advice.value: advice for advice in Advice})


def decline_code(code: str, issuer: str) -> DeclineCode:
    """The standard code for an error's `code` and the `issuer`'s decline_code, which says more where there is one."""
    return _BY_DECLINE_CODE.get(issuer) or _BY_CODE.get(code) or _BY_CODE.get(issuer) or DeclineCode.GENERIC_DECLINE


def is_decline(error: Plain) -> bool:
    """Whether an error of a wrong request is a decline all the same, as it is for some banks and methods."""
    tried = part(part(error, "payment_intent"), "last_payment_error")
    return bool(tried) or text(error, "code") in _BY_CODE


def decline_of(error: Plain, gateway_id: str) -> Declined:
    """The decline that an error object tells of: that of an answer, or an intent's last one."""
    return declined(
        decline_code(text(error, "code"), text(error, "decline_code")),
        text(error, "message"),
        advice=_ADVICE.get(text(error, "advice_code"), Advice.NONE),
        gateway_id=gateway_id,
    )


def refund_decline(reason: str, gateway_id: str) -> Declined:
    """The decline of a refund that failed for Stripe's `reason`."""
    code = _BY_REFUND_FAILURE.get(reason, DeclineCode.GENERIC_DECLINE)
    return declined(code, f"The refund failed: {reason.replace('_', ' ') or 'no reason given'}.", gateway_id=gateway_id)
