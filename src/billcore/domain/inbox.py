"""The inbox: what gateways told by webhook, kept as it came and worked on later (behaviour 9.3)."""

from datetime import datetime, timedelta
from typing import Literal, get_args

from attrs import frozen

from billcore.domain.values import evolve

InboxStatus = Literal["waiting", "done", "ignored", "parked", "discarded"]
INBOX_STATUSES: tuple[InboxStatus, ...] = get_args(InboxStatus)

AGAIN_MINUTES = (1, 5, 15, 60, 240, 720, 1440, 1440)
"""Minutes after which an event that could not be worked on is tried again, by try; after the last it is parked."""

EARLY_TRIES = 3
"""How often an event about something that is not known here is tried again: it may be ahead of our own commit."""

LONGEST_REASON = 500


@frozen
class InboxEvent:
    """One event of a delivery. `key` is unique per gateway; `event` is what the plugin read in it, as JSON.

    `body` is the delivery as it came, with anything that looks like a card number masked; of several events in one
    delivery the first has it. It waits for `next_try_at`, was done, meant nothing here (`ignored`), failed so often
    that it waits for a person (`parked`), or was given up by one (`discarded`).
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


def ended(event: InboxEvent, status: InboxStatus, at: datetime, reason: str | None = None) -> InboxEvent:
    """The event with nothing left to do about it by itself."""
    told = reason[:LONGEST_REASON] if reason is not None else None
    return evolve(event, status=status, tries=event.tries + 1, next_try_at=None, done_at=at, reason=told)


def put_off(event: InboxEvent, at: datetime, reason: str) -> InboxEvent:
    """The event with its next try, later each time; parked after the last one."""
    if event.tries >= len(AGAIN_MINUTES):
        return ended(event, "parked", at, reason)
    again = at + timedelta(minutes=AGAIN_MINUTES[event.tries])
    return evolve(event, tries=event.tries + 1, next_try_at=again, reason=reason[:LONGEST_REASON])


def tried_again(event: InboxEvent, at: datetime) -> InboxEvent:
    """The event as if it had just come in."""
    return evolve(event, status="waiting", tries=0, next_try_at=at, done_at=None, reason=None)
