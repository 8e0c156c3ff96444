"""What one decision wants for one subscription: its new value, lines to bill, and what to record (behaviour 5.3)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from billcore.domain.draft import DraftLine
from billcore.domain.event import StateChange
from billcore.domain.invoice import Purpose, Renewal
from billcore.domain.periods import Period
from billcore.domain.states import Event, move
from billcore.domain.subscription import Subscription, next_action
from billcore.domain.values import NewId, evolve


@frozen
class Step:
    """One subscription `before` the decision and after it, with the lines and the renewal that it brings about.

    `usage` are the item ids whose unbilled events up to `usage_until` belong to these lines; `collects` False means
    that their invoice waits (unpaid subscriptions). `cut` is the row of the running period where a change ended it
    early or began it anew; with `refunds` what is given back goes to the payments that had paid.
    What was paid beyond the beginning of the hold `held` goes on at its end.
    `short` is what happens instead where credit does not cover the document and nobody can be charged: a prepaid
    customer, or at the end of a trial one without a payment method.
    """

    subscription: Subscription
    before: Subscription
    purpose: Purpose = "renewal"
    lines: tuple[DraftLine, ...] = ()
    renewal: Renewal | None = None
    changes: tuple[StateChange, ...] = ()
    usage: tuple[str, ...] = ()
    usage_until: datetime | None = None
    collects: bool = True
    cut: Renewal | None = None
    refunds: bool = False
    short: "Step | None" = None
    held: Period | None = None


def purpose_of(steps: Sequence[Step]) -> Purpose:
    """What the one document of these steps is for.

    It is final only where nothing on it goes on: a final invoice is not dunned (behaviour 5.2, 8.3).
    """
    billed = [step.purpose for step in steps if step.lines]
    return next((purpose for purpose in billed if purpose != "final"), billed[0])


def changed(
    before: Subscription, after: Subscription, event: Event, at: datetime, actor: str, new_id: NewId
) -> tuple[StateChange, ...]:
    """The change of state between the two, checked against the table; empty when there is none."""
    move(before.state, event, after.state, before.reference)
    if before.state == after.state:
        return ()
    return (StateChange(new_id("chg"), after.customer_id, after.id, before.state, after.state, at, event, actor),)


def planned(sub: Subscription) -> Subscription:
    """`sub` with its next action filled in."""
    action = next_action(sub)
    at, kind = action if action is not None else (None, None)
    if sub.next_action_at == at and sub.next_action == kind:
        return sub
    return evolve(sub, next_action_at=at, next_action=kind)
