"""The one vocabulary of declines: standard codes, and what each asks of dunning (behaviour 9.2, 9.5)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen


class DeclineKind(StrEnum):
    """What a decline asks for: a later attempt (soft), another method (hard), or the customer."""

    HARD = "hard"
    SOFT = "soft"
    NEEDS_CUSTOMER = "needs_customer"


class Advice(StrEnum):
    """What the provider says to do next; where given it decides the kind, whatever the code says."""

    NONE = ""
    DO_NOT_TRY_AGAIN = "do_not_try_again"
    TRY_AGAIN_LATER = "try_again_later"
    CONFIRM_CARD_DATA = "confirm_card_data"


class DeclineCode(StrEnum):
    """Standard decline codes. A gateway maps its own codes to these; one it cannot map is GENERIC_DECLINE."""

    LOST_CARD = "lost_card"
    STOLEN_CARD = "stolen_card"
    PICKUP_CARD = "pickup_card"
    RESTRICTED_CARD = "restricted_card"
    FRAUDULENT = "fraudulent"
    EXPIRED_CARD = "expired_card"
    INCORRECT_NUMBER = "incorrect_number"
    INVALID_EXPIRY = "invalid_expiry"
    INVALID_ACCOUNT = "invalid_account"
    CARD_NOT_SUPPORTED = "card_not_supported"
    CURRENCY_NOT_SUPPORTED = "currency_not_supported"
    REVOKED = "revoked"
    STOP_PAYMENT = "stop_payment"
    TRANSACTION_NOT_ALLOWED = "transaction_not_allowed"
    DO_NOT_TRY_AGAIN = "do_not_try_again"
    METHOD_UNKNOWN = "method_unknown"
    DEBIT_NOT_AUTHORIZED = "debit_not_authorized"
    NO_ACCOUNT = "no_account"
    ACCOUNT_CLOSED = "account_closed"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    VELOCITY_EXCEEDED = "velocity_exceeded"
    LIMIT_EXCEEDED = "limit_exceeded"
    ISSUER_NOT_AVAILABLE = "issuer_not_available"
    PROCESSING_ERROR = "processing_error"
    TRY_AGAIN_LATER = "try_again_later"
    CALL_ISSUER = "call_issuer"
    DO_NOT_HONOR = "do_not_honor"
    SERVICE_NOT_ALLOWED = "service_not_allowed"
    GENERIC_DECLINE = "generic_decline"
    CANCELED = "canceled"
    AUTHENTICATION_REQUIRED = "authentication_required"
    INCORRECT_CVC = "incorrect_cvc"
    INCORRECT_POSTCODE = "incorrect_postcode"
    INCORRECT_PIN = "incorrect_pin"


_HARD = (
    DeclineCode.LOST_CARD,
    DeclineCode.STOLEN_CARD,
    DeclineCode.PICKUP_CARD,
    DeclineCode.RESTRICTED_CARD,
    DeclineCode.FRAUDULENT,
    DeclineCode.EXPIRED_CARD,
    DeclineCode.INCORRECT_NUMBER,
    DeclineCode.INVALID_EXPIRY,
    DeclineCode.INVALID_ACCOUNT,
    DeclineCode.CARD_NOT_SUPPORTED,
    DeclineCode.CURRENCY_NOT_SUPPORTED,
    DeclineCode.REVOKED,
    DeclineCode.STOP_PAYMENT,
    DeclineCode.TRANSACTION_NOT_ALLOWED,
    DeclineCode.DO_NOT_TRY_AGAIN,
    DeclineCode.METHOD_UNKNOWN,
    DeclineCode.DEBIT_NOT_AUTHORIZED,
    DeclineCode.NO_ACCOUNT,
    DeclineCode.ACCOUNT_CLOSED,
)
_NEEDS_CUSTOMER = (
    DeclineCode.AUTHENTICATION_REQUIRED,
    DeclineCode.INCORRECT_CVC,
    DeclineCode.INCORRECT_POSTCODE,
    DeclineCode.INCORRECT_PIN,
)

KIND_OF_CODE: Mapping[DeclineCode, DeclineKind] = MappingProxyType(
    dict.fromkeys(DeclineCode, DeclineKind.SOFT)
    | dict.fromkeys(_HARD, DeclineKind.HARD)
    | dict.fromkeys(_NEEDS_CUSTOMER, DeclineKind.NEEDS_CUSTOMER)
)
KIND_OF_ADVICE: Mapping[Advice, DeclineKind] = MappingProxyType(
    {
        Advice.DO_NOT_TRY_AGAIN: DeclineKind.HARD,
        Advice.TRY_AGAIN_LATER: DeclineKind.SOFT,
        Advice.CONFIRM_CARD_DATA: DeclineKind.NEEDS_CUSTOMER,
    }
)


@frozen
class Declined:
    """The provider said no, and no money moved.

    `message` is the provider's own text, `gateway_id` its id of the attempt if it gave one. An attempt that
    was ended by `cancel` is declined with the code CANCELED.
    """

    kind: DeclineKind
    code: DeclineCode
    message: str = ""
    advice: Advice = Advice.NONE
    gateway_id: str = ""


def declined(code: DeclineCode, message: str = "", *, advice: Advice = Advice.NONE, gateway_id: str = "") -> Declined:
    """A decline whose kind follows from the standard tables: the provider's advice first, else the code."""
    kind = KIND_OF_ADVICE.get(advice, KIND_OF_CODE[code])
    return Declined(kind, code, message, advice, gateway_id)
