"""The ledger: every movement of money as one entry that debits one account and credits another (behaviour 10)."""

from datetime import datetime

from attrs import frozen

RECEIVABLE = "receivable"
REVENUE = "revenue"
TAX_PAYABLE = "tax_payable"
CREDITS = "credits"
SERVICE_CREDITS = "service_credits"
PREPAYMENTS = "prepayments"
WRITE_OFFS = "write_offs"
REFUNDS = "refunds"
UNAPPLIED = "unapplied"
GIFTS = "gifts"
"""What service credits cost the merchant who gave them."""


def cash(gateway: str) -> str:
    """The account that holds what `gateway` collected."""
    return f"cash:{gateway}"


@frozen(slots=False)
class Entry:
    """`amount` (> 0, minor units) moves from the `credit` account to the `debit` account.

    One row holds both sides, so an entry that does not balance cannot be written.
    """

    id: str
    customer_id: str
    at: datetime
    currency: str
    debit: str
    credit: str
    amount: int
    invoice_id: str | None = None
    payment_id: str | None = None
    credit_note_id: str | None = None


def collected(account: str, amount: int, *, written_off: bool) -> list[tuple[str, str, int]]:
    """What comes into the cash `account` for an invoice, as entries (debit, credit, amount).

    What was written off is owed again as far as it is paid.
    """
    paid = [(account, RECEIVABLE, amount)]
    return [(RECEIVABLE, WRITE_OFFS, amount), *paid] if written_off else paid


def sides(debit: str, credit: str, amount: int) -> tuple[str, str, int] | None:
    """`amount` of any sign as an entry's sides: negative amounts swap them, zero needs no entry."""
    if amount > 0:
        return debit, credit, amount
    if amount < 0:
        return credit, debit, -amount
    return None
