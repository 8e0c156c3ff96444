"""Subscriptions that are paid in advance: suspended where the money does not reach, awake when it does (9.8)."""

from datetime import datetime

from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts
from billcore.domain.periods import Period
from billcore.domain.rating import usage_lines
from billcore.domain.states import Event, State
from billcore.domain.step import Step, changed, planned
from billcore.domain.subscription import Action, Subscription
from billcore.domain.values import NewId, evolve

_EVENTS: dict[Action, Event] = {
    "renew": "renewal_due",
    "trial_end": "trial_ran_out",
    "start": "start_reached",
    "resume": "resume_date_reached",
}
_KEPT: tuple[State, ...] = ("trialing", "awaiting_signup", "on_hold")
"""States that a suspended subscription has to go on from; all others were in a paid period."""


def or_suspended(sub: Subscription, step: Step, action: Action, facts: Facts, at: datetime, new_id: NewId) -> Step:
    """`step` with what happens instead where its document is not covered: suspended, and no period advances."""
    if (
        sub.collection != "prepaid"
        or step.short is not None
        or action not in _EVENTS
        or step.subscription.ended_at is not None
    ):
        return step
    event = _EVENTS[action] if sub.state != "active" else "renewal_due"
    return evolve(step, short=suspend(sub, event, at, facts.actor, new_id))


def suspend(sub: Subscription, event: Event, at: datetime, actor: str, new_id: NewId) -> Step:
    """Stop a subscription until there is money; nothing is billed."""
    came_from = sub.state if sub.state in _KEPT else None
    after = planned(evolve(sub, state="suspended", previous_state=came_from))
    return Step(after, sub, changes=changed(sub, after, event, at, actor, new_id))


def awake(sub: Subscription, at: datetime) -> Subscription:
    """A suspended subscription as it would go on at `at`: what it has missed is its next action.

    What has missed its start, or the end of a hold, begins now: nobody was served before.
    """
    free = evolve(sub, state=sub.previous_state or "active", previous_state=None)
    if free.state == "awaiting_signup":
        free = evolve(free, starts_at=at)
    elif free.state == "on_hold":
        free = evolve(free, resume_at=at)
    return planned(free)


def unbilled_usage(sub: Subscription, facts: Facts, at: datetime) -> list[DraftLine]:
    """What the metered components used in the running period and before it, and no document has billed yet."""
    lines: list[DraftLine] = []
    for item in sub.items:
        start = item.period_start or sub.arrears_from or sub.period_start
        if facts.components[item.component].kind == "metered" and start is not None and item.id in facts.usage:
            lines += usage_lines(sub, item, facts, Period(start, max(at, start)))
    return lines
