"""What a customer has with the merchant: service credits, credit-note credits and prepayments (behaviour 8, 10)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from attrs import evolve, frozen

from billcore.settings import Settings

CreditAccount = Literal["service_credits", "credits", "prepayments"]
ORDER: tuple[CreditAccount, ...] = get_args(CreditAccount)

Account = Literal["payments", "prepayments", "credits", "service_credits"]
GIVE_BACK: tuple[Account, ...] = get_args(Account)
"""The order in which what settled an invoice is given back (behaviour 3.5)."""


@frozen
class Credit:
    """One gift, credit note or prepayment, and what is left of it. Amounts are minor units of `currency`."""

    id: str
    customer_id: str
    account: CreditAccount
    currency: str
    amount: int
    remaining: int
    created_at: datetime
    expires_at: datetime | None = None
    source_id: str | None = None
    version: int = 1


@frozen
class Allocation:
    """What settles an invoice beside the attempts of gateways, and what documents gave back of it.

    `amount` is what the source puts on the invoice, negative where it is taken off again; `returned` is what the
    document gave back of what the source had paid. One of the two is 0. `source_id` is a payment or credit, None for
    what credit lines on the invoice itself pay of its charges. Minor units of `currency`.
    """

    id: str
    customer_id: str
    invoice_id: str
    currency: str
    account: Account
    source_id: str | None
    at: datetime
    amount: int = 0
    returned: int = 0
    document_id: str | None = None


@frozen
class Drawing:
    """How much of an invoice one credit pays."""

    credit: Credit
    amount: int


def usable(credits: Sequence[Credit], settings: Settings, *, due: bool, prepaid: bool = False) -> list[Credit]:
    """The credits that pay invoices by themselves; `due` says whether the invoice is due by now (behaviour 8.7).

    What is `prepaid` draws on prepayments whatever the setting says.
    """
    prepaid = prepaid or settings.apply_prepayments == "at_issue" or (settings.apply_prepayments == "at_due" and due)
    given = settings.apply_credits == "auto"
    return [credit for credit in credits if (prepaid if credit.account == "prepayments" else given)]


def draw(due: int, credits: Sequence[Credit], at: datetime) -> list[Drawing]:
    """Pay `due` minor units from `credits` in their fixed order (behaviour 8).

    Service credits (soonest expiry first), credit-note credits, prepayments (oldest first). The drawings hold the
    credits as they are afterwards.
    """

    def place(credit: Credit) -> tuple[int, str, str]:
        expiry = credit.expires_at.isoformat() if credit.expires_at and credit.account == ORDER[0] else "~"
        return ORDER.index(credit.account), expiry, credit.id

    drawings = []
    for credit in sorted(credits, key=place):
        if due <= 0:
            break
        if credit.remaining <= 0 or (credit.expires_at is not None and credit.expires_at <= at):
            continue
        part = min(due, credit.remaining)
        drawings.append(Drawing(evolve(credit, remaining=credit.remaining - part), part))
        due -= part
    return drawings
