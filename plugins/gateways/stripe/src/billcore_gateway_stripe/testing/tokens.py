"""Test cards and accounts by the names that Stripe's test mode gives them, and what happens to each."""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen


@frozen
class Behaviour:
    """What becomes of a method: `at_attach` and `at_charge` are decline codes, empty for success.

    `authenticate` asks for the customer: never, always, or only where the payment is made without him having been
    asked before (`unprepared`). `refund` is what becomes of refunds. `verified` accounts need no small deposits.
    """

    type: str = "card"
    brand: str = "visa"
    last4: str = "4242"
    at_attach: str = ""
    at_charge: str = ""
    advice: str = ""
    authenticate: str = "never"
    refund: str = "succeeded"
    verified: bool = False


def _declined(code: str, last4: str) -> Behaviour:
    return Behaviour(last4=last4, at_attach=code, at_charge=code)


CARDS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "visa": Behaviour(),
        "mastercard": Behaviour(brand="mastercard", last4="4444"),
        "amex": Behaviour(brand="amex", last4="8431"),
        "visa_chargeDeclined": _declined("generic_decline", "0002"),
        "visa_chargeDeclinedInsufficientFunds": _declined("insufficient_funds", "9995"),
        "visa_chargeDeclinedLostCard": _declined("lost_card", "9987"),
        "visa_chargeDeclinedStolenCard": _declined("stolen_card", "9979"),
        "chargeDeclinedExpiredCard": _declined("expired_card", "0069"),
        "chargeDeclinedIncorrectCvc": _declined("incorrect_cvc", "0127"),
        "chargeDeclinedProcessingError": _declined("processing_error", "0119"),
        "chargeCustomerFail": Behaviour(last4="0341", at_charge="generic_decline"),
        "authenticationRequired": Behaviour(last4="3184", authenticate="always"),
        "authenticationRequiredOnSetup": Behaviour(last4="3155", authenticate="unprepared"),
        "refundFail": Behaviour(last4="5126", refund="failing"),
        "pendingRefund": Behaviour(last4="7726", refund="pending"),
    }
)

# By account number; the routing number is 110000000.
ACCOUNTS: Mapping[str, Behaviour] = MappingProxyType(
    {
        number: Behaviour("us_bank_account", "STRIPE TEST BANK", number[-4:], at_charge=code)
        for number, code in {
            "000123456789": "",
            "000111111113": "account_closed",
            "000111111116": "no_account",
            "000222222227": "insufficient_funds",
            "000333333335": "debit_not_authorized",
        }.items()
    }
)


def card(token: str) -> Behaviour | None:
    """What `pm_card_visa` and `tok_visa` stand for."""
    return CARDS.get(token.removeprefix("pm_card_").removeprefix("tok_"))
