"""Refunds: money given back to where it came from, one row per attempt (behaviour 9.6)."""

from datetime import datetime
from typing import Literal, get_args

from attrs import frozen

RefundStatus = Literal["pending", "succeeded", "failed", "unknown"]
REFUND_STATUSES: tuple[RefundStatus, ...] = get_args(RefundStatus)
RefundTo = Literal["method", "external", "credit"]
RefundCause = Literal["refund", "late_success", "credit_note"]


@frozen
class Refund:
    """One refund of a payment; amounts are minor units. `to` says where it goes, `cause` why it was made.

    One to the method is made by the gateway like a charge: `request` is the exact request as JSON, stored before the
    call, `sends`, `next_check_at`, `checks`, `not_found`, the lease and `parked_reason` are as for a payment. The
    others need no gateway: their request is empty and they have succeeded at once.
    """

    id: str
    customer_id: str
    payment_id: str
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
    reason: str | None = None
    credit_note_id: str | None = None
    sends: int = 0
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
