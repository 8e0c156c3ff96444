"""Changes of subscriptions: what was asked for, when it comes into effect, and what there was before (behaviour 6)."""

from datetime import datetime
from typing import Literal

from attrs import frozen

ChangeKind = Literal["change", "reactivate"]
ChangeStatus = Literal["waiting", "applied", "dropped", "refused"]


@frozen
class Change:
    """One change of a subscription: planned, or what became of it.

    `parameters` is JSON: what was asked for, as the command read it. `at` is when it comes into effect, None at the
    renewal; one with `invoice_id` waits for the payment of that draft. `before` is JSON: price, quantity and components
    as they were until then, known when it was applied.
    """

    id: str
    customer_id: str
    subscription_id: str
    kind: ChangeKind
    parameters: str
    created_at: datetime
    actor: str
    at: datetime | None = None
    status: ChangeStatus = "waiting"
    decided_at: datetime | None = None
    invoice_id: str | None = None
    before: str | None = None
