"""What a customer has with the merchant: service credits, credit-note credits and prepayments (behaviour 8, 10)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from attrs import evolve, frozen

CreditAccount = Literal["service_credits", "credits", "prepayments"]
ORDER: tuple[CreditAccount, ...] = get_args(CreditAccount)


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
class Drawing:
    """How much of an invoice one credit pays."""

    credit: Credit
    amount: int


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
