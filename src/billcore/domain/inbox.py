"""The inbox: what gateways told by webhook, kept as it came and worked on later (behaviour 9.3)."""

from datetime import datetime
from typing import Literal, get_args

from attrs import frozen

InboxStatus = Literal["waiting", "done", "ignored", "parked", "discarded"]
INBOX_STATUSES: tuple[InboxStatus, ...] = get_args(InboxStatus)


@frozen
class InboxEvent:
    """One event of a delivery. `key` is unique per gateway; `event` is what the plugin read in it, as JSON.

    `body` is the delivery as it came, with anything that looks like a card number masked. It waits for
    `next_try_at`, was done, meant nothing here (`ignored`), or failed so often that it waits for a person (`parked`).
    """

    id: str
    gateway: str
    key: str
    received_at: datetime
    kind: str
    text: str
    event: str
    body: str
    status: InboxStatus = "waiting"
    tries: int = 0
    next_try_at: datetime | None = None
    done_at: datetime | None = None
    reason: str | None = None
    customer_id: str | None = None
    version: int = 1
