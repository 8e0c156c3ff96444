"""Refunds: money given back to where it came from, one row per attempt (behaviour 9.6)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, get_args

from attrs import frozen

from billcore.domain.payment import OutcomeKind, Payment

RefundStatus = Literal["pending", "succeeded", "failed", "unknown"]
REFUND_STATUSES: tuple[RefundStatus, ...] = get_args(RefundStatus)
OPEN: frozenset[RefundStatus] = frozenset({"pending", "unknown"})
"""Statuses in which the money may be on its way: the gateway is asked what became of it."""

RefundTo = Literal["method", "external", "credit"]
RefundCause = Literal["refund", "late_success", "credit_note", "payout", "lost"]
"""Asked for by itself; money that nothing wanted; owed by a credit note; a credit or prepayment that is paid out; given
back once more, and accepted as lost."""


@frozen
class Refund:
    """One refund of a payment; amounts are minor units. `to` says where it goes, `cause` why it was made.

    One to the method is made by the gateway like a charge: `request` is the exact request as JSON, stored before the
    call, `sends`, `next_check_at`, `checks`, `not_found` and the lease are as for a payment; it was sent first at
    `sent_at`. The others need no gateway: their request is empty and they have succeeded at once.

    `invoice_id` is the invoice whose money it is, None for money that paid none. One that failed while its amount is
    still owed to the customer has a `parked_reason` until another one, which then `replaces` it, makes it good.
    One that pays out took its amount from the credit `credit_id`; where no payment is behind that, `payment_id` is None
    and it went outside.
    """

    id: str
    customer_id: str
    payment_id: str | None
    attempt: int
    idempotency_key: str
    cause: RefundCause
    to: RefundTo
    amount: int
    currency: str
    gateway: str
    request: str
    status: RefundStatus
    created_at: datetime
    invoice_id: str | None = None
    credit_note_id: str | None = None
    credit_id: str | None = None
    replaces: str | None = None
    reason: str | None = None
    sends: int = 0
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    gateway_id: str | None = None
    decline_code: str | None = None
    message: str | None = None
    next_check_at: datetime | None = None
    checks: int = 0
    not_found: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = None
    parked_reason: str | None = None
    version: int = 1

    @property
    def charge(self) -> str:
        """The id of the payment whose money it gives back; one that was paid out outside may have none."""
        assert self.payment_id is not None
        return self.payment_id

    @property
    def is_owed(self) -> bool:
        """Whether it failed and the customer has not got the money in another way."""
        return self.status == "failed" and self.parked_reason is not None

    @property
    def holds(self) -> bool:
        """Whether its amount cannot be given back once more: it is out, on its way, or owed.

        What became credit is still here: it may be paid out.
        """
        return self.to != "credit" and self.cause != "lost" and (self.status != "failed" or self.is_owed)

    @property
    def opens(self) -> bool:
        """Whether it takes its amount off an invoice, which is due again: there is no credit note for it."""
        return self.cause == "refund" and self.credit_note_id is None and self.invoice_id is not None


# (status, outcome) -> status. A refund that surely was not sent is sent again with the same bytes; one that has
# succeeded may still come back, and one that was given up may still arrive (behaviour 9.6). "Not found" alone says
# nothing: a gateway may be late with its list (9.3).
TABLE: Mapping[RefundStatus, Mapping[OutcomeKind, RefundStatus]] = {
    "pending": {
        "approved": "succeeded",
        "pending": "pending",
        "action_required": "pending",
        "declined": "failed",
        "canceled": "failed",
        "not_sent": "pending",
        "unknown": "unknown",
        "not_found": "pending",
    },
    "unknown": {
        "approved": "succeeded",
        "pending": "pending",
        "action_required": "pending",
        "declined": "failed",
        "canceled": "failed",
        "not_sent": "unknown",
        "unknown": "unknown",
        "not_found": "unknown",
    },
    "succeeded": {
        "approved": "succeeded",
        "pending": "succeeded",
        "action_required": "succeeded",
        "declined": "failed",
        "canceled": "failed",
        "not_sent": "succeeded",
        "unknown": "succeeded",
        "not_found": "succeeded",
    },
    "failed": {
        "approved": "succeeded",
        "pending": "failed",
        "action_required": "failed",
        "declined": "failed",
        "canceled": "failed",
        "not_sent": "failed",
        "unknown": "failed",
        "not_found": "failed",
    },
}


def left_of(payment: Payment, refunds: Iterable[Refund]) -> int:
    """What of a payment may still be given back: captured less all its refunds that hold (behaviour 9.6)."""
    return payment.captured - sum(refund.amount for refund in refunds if refund.holds)
