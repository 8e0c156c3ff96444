"""Payments: one row per attempt to collect, and what its outcomes make of it (behaviour 9.1-9.3)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, get_args

from attrs import frozen

from billcore.domain.values import Stored

PaymentStatus = Literal[
    "pending",
    "requires_action",
    "succeeded",
    "failed",
    "unknown",
    "canceled",
    "partially_refunded",
    "refunded",
    "disputed",
]
PAYMENT_STATUSES: tuple[PaymentStatus, ...] = get_args(PaymentStatus)

OutcomeKind = Literal[
    "approved", "pending", "action_required", "declined", "canceled", "not_sent", "unknown", "not_found"
]
OUTCOME_KINDS: tuple[OutcomeKind, ...] = get_args(OutcomeKind)

IN_DOUBT: frozenset[PaymentStatus] = frozenset({"pending", "requires_action", "unknown"})
"""Statuses in which money may have moved or may still move: the invoice is reserved."""

Cause = Literal["signup", "collection", "dunning", "retry", "new_method", "fallback", "recorded", "top_up"]
"""Why an attempt was made; `fallback` follows at once on one that was declined, with the customer's next method,
`top_up` fills up a prepayment."""

RETRIES: tuple[Cause, ...] = ("dunning", "retry", "new_method", "fallback")
"""Causes of attempts on what was declined before."""

BY_HAND = "external"
"""The gateway of payments that were recorded by hand: their money came and goes outside billcore."""

UNREACHABLE_HOURS = (1, 2, 4, 8, 24)
"""Hours after which an attempt that was surely not sent is made again, by attempt; the last one repeats."""

CHECK_MINUTES = (1, 5, 15, *[60] * 24, 360)
"""Minutes after which an open outcome is asked for; the last one repeats.

What has been open for a day is a bank debit that takes days, and gateways count how often they are asked.
"""


@frozen
class Outcome:
    """What became of an attempt, in the core's words. `amount` is what was captured, in minor units."""

    kind: OutcomeKind
    amount: int = 0
    gateway_id: str | None = None
    decline_kind: str | None = None
    decline_code: str | None = None
    message: str | None = None
    action_url: str | None = None


@frozen(slots=False)
class Payment(Stored):
    """One attempt to collect an invoice. `request` is the exact request as JSON, stored before the call.

    `sends` counts the calls made with it; 0 means that it was surely never sent. `amount` is what is asked for,
    `captured` what was taken, `applied` what of that pays invoices. `next_check_at` is when its outcome is asked for
    next. One that was recorded by hand has no attempt, request or payment method: `method` says in words how it
    came, and allocations say which invoices it pays.
    """

    id: str
    customer_id: str
    invoice_id: str | None
    attempt: int
    idempotency_key: str
    cause: Cause
    amount: int
    currency: str
    gateway: str
    payment_method_id: str | None
    request: str
    status: PaymentStatus
    created_at: datetime
    captured: int = 0
    applied: int = 0
    refunded: int = 0
    method: str | None = None
    sends: int = 0
    settled_at: datetime | None = None
    gateway_id: str | None = None
    decline_kind: str | None = None
    decline_code: str | None = None
    message: str | None = None
    action_url: str | None = None
    next_check_at: datetime | None = None
    checks: int = 0
    not_found: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = None
    parked_reason: str | None = None
    version: int = 1

    @property
    def billed(self) -> str:
        """The id of the invoice that this attempt is to collect; a payment recorded by hand has none."""
        assert self.invoice_id is not None
        return self.invoice_id


@frozen
class Chain:
    """Attempts that follow each other at once: why the first was made, and the methods that were tried by then."""

    cause: Cause
    tried: frozenset[str]


def chain_of(attempts: Sequence[Payment]) -> Chain:
    """The chain that the newest of an invoice's attempts belongs to; they are in order."""
    tried = []
    for payment in reversed(attempts):
        tried.append(payment.payment_method_id or "")
        if payment.cause != "fallback":
            return Chain(payment.cause, frozenset(tried))
    return Chain("collection", frozenset(tried))


# (status, outcome) -> status. A settled payment keeps its status: a late or repeated answer changes nothing, but a
# success after a failure is money that must be looked at (behaviour 5.1), which the settlement decides.
TABLE: Mapping[PaymentStatus, Mapping[OutcomeKind, PaymentStatus]] = {
    status: (
        {
            "approved": "succeeded",
            "pending": "pending",
            "action_required": "requires_action",
            "declined": "failed",
            "canceled": "canceled",
            "not_sent": "failed",
            "unknown": "unknown" if status == "pending" else status,
            "not_found": status,
        }
        if status in IN_DOUBT
        else {
            kind: "succeeded" if kind == "approved" and status in ("failed", "canceled") else status
            for kind in OUTCOME_KINDS
        }
    )
    for status in PAYMENT_STATUSES
}
