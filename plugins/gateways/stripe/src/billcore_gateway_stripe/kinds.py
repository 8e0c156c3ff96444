"""What Stripe's types of payment methods are to billcore, and what of one may be shown."""

from billcore.plugins.gateway import MethodKind, Vaulted, VaultedStatus
from billcore_gateway_stripe.plain import Plain, number, part, text

DEBITS = frozenset({"us_bank_account", "sepa_debit", "bacs_debit", "acss_debit", "au_becs_debit", "nz_bank_account"})
"""Types that are debited under a mandate, which a SetupIntent keeps."""

VERIFIED = frozenset({"us_bank_account"})
"""Types that a SetupIntent sets up before they can be charged, by small deposits where there is no other way."""


def vaulted(method: Plain, *, status: VaultedStatus, gateway_customer: str, customer_id: str) -> Vaulted:
    """A PaymentMethod as billcore keeps it: never more than four digits of it."""
    kind = text(method, "type")
    details = part(method, kind)
    return Vaulted(
        token=text(method, "id"),
        gateway_customer=gateway_customer,
        kind=_kind(kind),
        brand=_brand(kind, details)[:40],
        last4=text(details, "last4")[-4:],
        expires_on=_expires_on(details),
        fingerprint=text(details, "fingerprint"),
        status=status,
        customer_id=customer_id,
    )


def _kind(kind: str) -> MethodKind:
    if kind == "card":
        return "card"
    return "bank_account" if kind in DEBITS else "wallet"


def _brand(kind: str, details: Plain) -> str:
    """The card's brand, the bank's name or code, else the type itself."""
    names = ("brand", "bank_name", "bank_code", "sort_code", "bsb_number")
    return next((name for name in (text(details, one) for one in names) if name), kind)


def _expires_on(details: Plain) -> str:
    year, month = number(details, "exp_year"), number(details, "exp_month")
    return f"{year:04}-{month:02}" if year and month and 1 <= month <= 12 else ""
